// Deletes the records of a topic's partition 0 below an offset.
const { Kafka, logLevel } = require('kafkajs')

const [address, topic, offset] = process.argv.slice(2)
const admin = new Kafka({ clientId: 'js', brokers: [address], logLevel: logLevel.NOTHING }).admin()

async function main() {
  await admin.connect()
  await admin.fetchTopicMetadata({ topics: [topic] }) // or it does not know who leads the partition
  await admin.deleteTopicRecords({ topic, partitions: [{ partition: 0, offset }] })
  await admin.disconnect()
  console.log(JSON.stringify({ deleted: true }))
}

main().catch(e => {
  console.error(e)
  process.exit(1)
})
