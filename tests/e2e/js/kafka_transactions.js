// kafkajs: transactions with commit, abort, offsets and fencing. Prints one line of JSON.
const { Kafka, logLevel } = require('kafkajs')

const kafka = new Kafka({ clientId: 'js', brokers: [process.argv[2]], logLevel: logLevel.NOTHING })

// Values that come until none has come for a while: one that is not there cannot be waited for.
async function committed(topic) {
  const name = 'reader-' + Math.random()
  const consumer = kafka.consumer({ groupId: name, maxWaitTimeInMs: 100, readUncommitted: false })
  const got = []
  await consumer.connect()
  await consumer.subscribe({ topic, fromBeginning: true })
  let last = Date.now()
  await consumer.run({ eachMessage: async ({ message }) => { got.push(message.value.toString()); last = Date.now() } })
  await new Promise(resolve => {
    const joined = Date.now()
    const timer = setInterval(() => {
      if (Date.now() - Math.max(last, joined) < 1500) return
      clearInterval(timer)
      resolve()
    }, 20)
  })
  await consumer.disconnect()
  return got
}

async function transactional() {
  const producer = kafka.producer({ transactionalId: 'js-1', maxInFlightRequests: 1, idempotent: true })
  await producer.connect()
  return producer
}

async function main() {
  const admin = kafka.admin()
  const told = {}
  await admin.connect()
  await admin.createTopics({ topics: [{ topic: 't', numPartitions: 1 }] })

  const producer = await transactional()
  let transaction = await producer.transaction()
  await transaction.send({ topic: 't', messages: [{ value: 'a' }, { value: 'b' }] })
  told.open = await committed('t')
  await transaction.commit()
  told.committed = await committed('t')

  transaction = await producer.transaction()
  await transaction.send({ topic: 't', messages: [{ value: 'never' }] })
  await transaction.abort()
  told.aborted = await committed('t')

  transaction = await producer.transaction()
  await transaction.send({ topic: 't', messages: [{ value: 'moved-a' }, { value: 'moved-b' }] })
  await transaction.sendOffsets({
    consumerGroupId: 'movers', topics: [{ topic: 't', partitions: [{ partition: 0, offset: '2' }] }] })
  await transaction.commit()
  told.moved = await committed('t')
  told.position = (await admin.fetchOffsets({ groupId: 'movers', topics: ['t'] }))[0].partitions[0].offset

  transaction = await producer.transaction()
  await transaction.send({ topic: 't', messages: [{ value: 'zombie' }] })
  const second = await transactional()
  const other = await second.transaction() // only now it asks for an epoch
  told.fenced = await transaction.commit().then(() => false, () => true)
  await other.abort()
  await second.disconnect()
  await producer.disconnect()
  await admin.disconnect()
  console.log(JSON.stringify(told))
}

main().catch(e => { console.error(e); process.exit(1) })
