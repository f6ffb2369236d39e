// Two members of one group of KIP-848 read a topic; in the middle it says KILL and goes on when it is told to. Prints one line of JSON.
import { Admin, Consumer, MessagesStreamModes, Producer } from '@platformatic/kafka'

const base = { clientId: 'c', bootstrapBrokers: [process.argv[2]], retries: 40, retryDelay: 250 }
const topic = 'read'
const seen = []
const members = []

async function until(condition, what) {
  for (const end = Date.now() + 60000; !condition(); ) {
    if (Date.now() > end) throw new Error('waited in vain: ' + what)
    await new Promise(resolve => setTimeout(resolve, 20))
  }
}

async function member() {
  const consumer = new Consumer({ ...base, groupId: 'g', groupProtocol: 'consumer' })
  const stream = await consumer.consume({ topics: [topic], mode: MessagesStreamModes.EARLIEST, autocommit: true })
  stream.on('data', message => seen.push(message.value.toString()))
  stream.on('error', error => console.error(error.message))
  members.push(consumer)
}

const owned = () => members.map(m => (m.assignments ?? []).flatMap(a => a.partitions).sort())
const told = () => ({ read: seen.length, different: new Set(seen).size, owned: owned() })

const admin = new Admin(base)
const producer = new Producer(base)
async function produce(from, to) {
  for (let i = from; i < to; i++) await producer.send({ messages: [{ topic, partition: i % 4, value: Buffer.from('v' + i) }] })
  await until(() => told().different >= to, `${to} records`)
}

await admin.createTopics({ topics: [topic], partitions: 4, replicas: 1 })
await member()
await member()
await until(() => owned().every(p => p.length === 2), 'an even assignment')
await produce(0, 20)
const before = told()
console.log('KILL')
await new Promise(resolve => process.stdin.once('data', resolve))
await produce(20, 40)
console.log(JSON.stringify({ before, after: told() }))
process.exit(0)
