// kafkajs against a broker: admin, compressed produce, a group of two, commit and resume, offsets by time. Prints one line of JSON.
const { CompressionTypes, Kafka, logLevel } = require('kafkajs')

const kafka = new Kafka({ clientId: 'js', brokers: [process.argv[2]], logLevel: logLevel.ERROR })
const COUNT = 3000

function until(condition, what) {
  return new Promise((resolve, reject) => {
    const began = Date.now()
    const timer = setInterval(() => {
      const late = Date.now() - began > 60000
      if (!condition() && !late) return
      clearInterval(timer)
      late ? reject(new Error('waited in vain: ' + what)) : resolve()
    }, 10)
  })
}

async function produce() {
  const producer = kafka.producer({ idempotent: true, maxInFlightRequests: 1 })
  await producer.connect()
  for (let at = 0; at < COUNT; at += 500) {
    const messages = []
    for (let n = at; n < at + 500; n++)
      messages.push({ key: 'k' + n, value: String(n), headers: { h: '1' }, partition: n % 4 })
    await producer.send({ topic: 't', acks: -1, compression: CompressionTypes.GZIP, messages })
  }
  await producer.disconnect()
}

async function join(seen) {
  const consumer = kafka.consumer({ groupId: 'js', sessionTimeout: 6000, heartbeatInterval: 300, maxWaitTimeInMs: 200 })
  const member = { consumer, partitions: [] }
  consumer.on(consumer.events.GROUP_JOIN, e => { member.partitions = e.payload.memberAssignment.t || [] })
  await consumer.connect()
  await consumer.subscribe({ topic: 't', fromBeginning: true })
  await consumer.run({ eachMessage: async ({ message }) => { seen.push(message) } })
  return member
}

async function main() {
  const admin = kafka.admin()
  await admin.connect()
  await admin.createTopics({ topics: [{ topic: 't', numPartitions: 4 }] })
  await produce()

  const seen = []
  const one = await join(seen)
  await until(() => seen.length >= COUNT, 'all messages')
  const first = seen.find(m => m.value.toString() === '0')
  const two = await join(seen)
  await until(() => one.partitions.length === 2 && two.partitions.length === 2, 'a rebalance')
  const rebalanced = [one.partitions.length, two.partitions.length]
  await one.consumer.disconnect() // commits
  await two.consumer.disconnect()
  const consumed = new Set(seen.map(m => m.value.toString())).size

  const again = []
  const three = await join(again)
  await until(() => three.partitions.length === 4, 'the group to begin again')
  const producer = kafka.producer()
  await producer.connect()
  await producer.send({ topic: 't', messages: [{ value: 'last', partition: 0 }] })
  await until(() => again.some(m => m.value.toString() === 'last'), 'the last message')
  await three.consumer.disconnect()

  await admin.createTopics({ topics: [{ topic: 'timed', numPartitions: 1 }] })
  const messages = []
  for (let n = 0; n < 20; n++) messages.push({ value: String(n), timestamp: String(1700000000000 + n * 1000) })
  await producer.send({ topic: 'timed', messages })
  const [at] = await admin.fetchTopicOffsetsByTimestamp('timed', 1700000010000)
  const after = []
  const reader = kafka.consumer({ groupId: 'timed', maxWaitTimeInMs: 200 })
  await reader.connect()
  await reader.subscribe({ topic: 'timed', fromBeginning: true })
  await reader.run({ eachMessage: async ({ message }) => { after.push(message.value.toString()) } })
  reader.seek({ topic: 'timed', partition: 0, offset: at.offset })
  await until(() => after.includes('19'), 'what came after the time')
  await reader.disconnect()
  await producer.disconnect()
  const groups = (await admin.listGroups()).groups.map(g => g.groupId)
  await admin.deleteTopics({ topics: ['timed'] })
  await admin.disconnect()
  console.log(JSON.stringify({
    produced: COUNT, consumed, rebalanced, groups, at: at.offset, after, resumed: again.length - 1, key: first.key.toString(),
    headers: Object.fromEntries(Object.entries(first.headers).map(([k, v]) => [k, v.toString()])),
  }))
}

main().catch(e => { console.error(e); process.exit(1) })
