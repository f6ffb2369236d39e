// @platformatic/kafka, which speaks flexible versions alone: produce, a group of two, commit and resume, offsets by time, transactions.
// Prints one line of JSON.
import { Admin, Consumer, Producer, stringDeserializers, stringSerializers } from '@platformatic/kafka'

const base = { clientId: 'platformatic', bootstrapBrokers: [process.argv[2]] }
const COUNT = 2000

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

async function join(groupId, topic, seen, more = {}) {
  const consumer = new Consumer({ ...base, groupId, deserializers: stringDeserializers, sessionTimeout: 6000, heartbeatInterval: 300,
                                  rebalanceTimeout: 6000, maxWaitTime: 200 })
  const stream = await consumer.consume({ topics: [topic], mode: 'committed', fallbackMode: 'earliest', autocommit: false, ...more })
  stream.on('data', message => { seen.push(message) })
  return { consumer, stream, partitions: () => (consumer.assignments || []).flatMap(a => a.partitions).length }
}

async function leave(member) {
  await member.stream.close()
  await member.consumer.close(true)
}

async function group() {
  const producer = new Producer({ ...base, serializers: stringSerializers, idempotent: true, acks: -1, compression: 'gzip' })
  for (let at = 0; at < COUNT; at += 500) {
    const messages = []
    for (let n = at; n < at + 500; n++)
      messages.push({ topic: 't', partition: n % 4, key: 'k' + n, value: String(n), headers: { h: '1' } })
    await producer.send({ messages })
  }
  await producer.close()

  const seen = []
  const one = await join('p', 't', seen)
  await until(() => seen.length >= COUNT, 'all messages')
  const first = seen.find(m => m.value === '0')
  const two = await join('p', 't', seen)
  await until(() => one.partitions() === 2 && two.partitions() === 2, 'a rebalance')
  const rebalanced = [one.partitions(), two.partitions()]
  const ends = [0, 1, 2, 3].map(partition => ({ topic: 't', partition, offset: BigInt(COUNT / 4), leaderEpoch: 0 }))
  await one.consumer.commit({ offsets: ends })
  await leave(two)
  await leave(one)

  const again = []
  const three = await join('p', 't', again)
  const late = new Producer({ ...base, serializers: stringSerializers })
  await late.send({ messages: [{ topic: 't', partition: 0, value: 'last' }] })
  await until(() => again.some(m => m.value === 'last'), 'the last message')
  await leave(three)
  await late.close()
  return { produced: COUNT, consumed: new Set(seen.map(m => m.value)).size, rebalanced, resumed: again.length - 1,
           key: first.key, header: first.headers.get('h') }
}

async function times(admin) {
  const producer = new Producer({ ...base, serializers: stringSerializers })
  const consumer = new Consumer({ ...base, groupId: 'times', deserializers: stringDeserializers })
  const messages = []
  await admin.createTopics({ topics: ['timed'], partitions: 1, replicas: 1 })
  for (let n = 0; n < 20; n++)
    messages.push({ topic: 'timed', partition: 0, value: String(n), timestamp: BigInt(1700000000000 + n * 1000) })
  await producer.send({ messages })
  const at = (await consumer.listOffsets({ topics: ['timed'], timestamp: 1700000010000n })).get('timed')[0]
  const seen = []
  const reader = await join('timed', 'timed', seen, { mode: 'manual', offsets: [{ topic: 'timed', partition: 0, offset: at }] })
  await until(() => seen.length >= 10, 'what came after the time')
  await leave(reader)
  await consumer.close()
  await producer.close()
  return { at: Number(at), first: seen[0].value }
}

async function transactions(admin) {
  const producer = new Producer({ ...base, serializers: stringSerializers, idempotent: true, transactionalId: 'platformatic-1' })
  await admin.createTopics({ topics: ['tx'], partitions: 1, replicas: 1 })
  for (const [value, verb] of [['kept', 'commit'], ['never', 'abort'], ['kept too', 'commit']]) {
    const transaction = await producer.beginTransaction()
    await transaction.send({ messages: [{ topic: 'tx', partition: 0, value }] })
    await transaction[verb]()
  }
  const seen = []
  const reader = await join('tx', 'tx', seen, { isolationLevel: 1 })
  await until(() => seen.some(m => m.value === 'kept too'), 'the last transaction')
  await leave(reader)
  await producer.close()
  return { committed: seen.map(m => m.value) }
}

const admin = new Admin(base)
await admin.createTopics({ topics: ['t'], partitions: 4, replicas: 1 })
const told = { ...await group(), ...await times(admin), ...await transactions(admin) }
told.groups = [...(await admin.listGroups()).keys()].sort()
await admin.close()
console.log(JSON.stringify(told))
