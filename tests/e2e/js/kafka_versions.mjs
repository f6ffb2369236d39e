// Each version of each API that @platformatic/kafka knows and the broker tells, asked for by itself and read by that version's parser.
// Prints one line of JSON: the versions that were spoken, and what was not as it should.
// Left out: DescribeConfigs 2 and ConsumerGroupDescribe 0, whose answers it takes for others than Kafka's.
import * as kafka from '@platformatic/kafka'

const [host, port] = process.argv[2].split(':')
const connection = new kafka.Connection('versions')
const spoken = {}
const wrong = []

// apis('fetch', 12, 17): those functions. An answer with an error is thrown as one that holds it.
async function each(name, first, last, args, check) {
  for (let v = first; v <= last; v++) {
    let answer
    try {
      answer = await kafka[`${name}V${v}`].api.async(connection, ...args(v))
    } catch (e) {
      answer = e.response ?? e
    }
    let why
    try {
      why = check(answer, v)
    } catch (e) {
      why = e.message
    }
    if (why !== true) wrong.push(`${name} ${v}: ${why} ${JSON.stringify(answer, (_, x) => typeof x === 'bigint' ? String(x) : x)} ${answer.stack ?? ''}`)
    ;(spoken[name] ??= []).push(v)
  }
}

const none = a => a.errorCode === 0
const parts = list => [{ name: 't', partitions: list }]

async function topics() {
  await each('apiVersions', 3, 4, () => ['test', '1'], a => none(a) && a.apiKeys.find(k => k.apiKey === 0).maxVersion === 12)
  await each('createTopics', 7, 7, () => [[{ name: 't', numPartitions: 1, replicationFactor: 1, assignments: [], configs: [{ name: 'retention.ms', value: '-1' }] }], 5000, false],
    a => a.topics[0].errorCode === 0 && a.topics[0].numPartitions === 1 && a.topics[0].configs.length > 20)
  let id
  await each('metadata', 9, 12, () => [['t']], a => {
    id = a.topics[0].topicId
    return a.topics[0].errorCode === 0 && a.topics[0].name === 't' && a.topics[0].partitions.length === 1 && a.brokers[0].port === Number(port)
  })
  await each('createPartitions', 1, 3, v => [[{ name: 't', count: 1 + v, assignments: null }], 5000, false], a => a.results[0].errorCode === 0)
  await each('describeTopicPartitions', 0, 0, () => [[{ name: 't' }], 2], a => a.topics[0].partitions.length === 2 && a.nextCursor.partitionIndex === 2)
  await each('describeConfigs', 3, 4, () => [[{ resourceType: 2, resourceName: 't', configurationKeys: ['retention.ms'] }], true, true],
    a => a.results[0].errorCode === 0 && a.results[0].configs[0].value === '-1' && a.results[0].configs[0].synonyms.length > 0)
  await each('incrementalAlterConfigs', 1, 1, () => [[{ resourceType: 2, resourceName: 't', configs: [{ name: 'segment.ms', configOperation: 0, value: '99999' }] }], false],
    a => a.responses[0].errorCode === 0)
  await each('alterConfigs', 2, 2, () => [[{ resourceType: 2, resourceName: 't', configs: [{ name: 'retention.ms', value: '-1' }] }], false],
    a => a.responses[0].errorCode === 0)
  await each('describeCluster', 0, 1, () => [true, 1], a => none(a) && a.brokers.length === 1)
  await each('listPartitionReassignments', 0, 0, () => [1000, []], a => none(a) && a.topics.length === 0)
  await each('describeClientQuotas', 0, 0, () => [[], false], a => none(a) && a.entries.length === 0)
  await each('describeAcls', 2, 3, () => [{ resourceType: 2, resourceNameFilter: null, patternTypeFilter: 1, principalFilter: null, hostFilter: null, operation: 1, permissionType: 1 }],
    a => a.errorCode === 54)
  return id
}

async function records(id) {
  await each('produce', 7, 11, () => [-1, 1000, [{ topic: 't', partition: 0, key: Buffer.from('k'), value: Buffer.from('v'), timestamp: 1700000000000n }]],
    (a, v) => { const p = a.responses[0].partitionResponses[0]; return p.errorCode === 0 && p.baseOffset === BigInt(v - 7) })
  await each('fetch', 12, 17, v => [100, 1, 1 << 20, 0, 0, -1, [{ topicId: v === 12 ? 't' : id, partitions: [{ partition: 0, currentLeaderEpoch: -1, fetchOffset: 1n, lastFetchedEpoch: -1, partitionMaxBytes: 1 << 20 }] }], [], ''],
    a => { const p = a.responses[0].partitions[0]; return p.errorCode === 0 && p.highWatermark === 5n && p.records.length === 4 && p.records[0].records[0].value.toString() === 'v' })
  await each('listOffsets', 5, 9, () => [-1, 0, parts([{ partitionIndex: 0, currentLeaderEpoch: -1, timestamp: -1n }])],
    a => a.topics[0].partitions[0].errorCode === 0 && a.topics[0].partitions[0].offset === 5n)
  await each('offsetForLeaderEpoch', 4, 4, () => [-1, [{ name: 't', partitions: [{ partitionIndex: 0, currentLeaderEpoch: -1, leaderEpoch: 0 }] }]],
    a => a.topics[0].partitions[0].errorCode === 0 && a.topics[0].partitions[0].endOffset === 5n)
  await each('deleteRecords', 2, 2, () => [parts([{ partitionIndex: 0, offset: 2n }]), 1000], a => a.topics[0].partitions[0].lowWatermark === 2n)
  await each('describeLogDirs', 2, 4, () => [parts([0])], a => a.results[0].errorCode === 0 && a.results[0].topics[0].partitions[0].partitionSize > 0n)
}

async function groups(id) {
  await each('findCoordinator', 4, 6, () => [0, ['g']], a => a.coordinators[0].errorCode === 0 && a.coordinators[0].port === Number(port))
  let me, generation
  for (let v = 6; v <= 9; v++) {
    const ask = member => ['g', 10000, 10000, member, null, 'consumer', [{ name: 'range', metadata: Buffer.from('x') }], null]
    let given
    try {
      await kafka[`joinGroupV${v}`].api.async(connection, ...ask(''))
    } catch (e) {
      given = e.response.memberId // MEMBER_ID_REQUIRED
    }
    await each('joinGroup', v, v, () => ask(given), a => { me = a.memberId; generation = a.generationId; return none(a) && a.leader === me && a.members.length === 1 })
    const minor = Math.min(v - 2, 5)
    if (v >= 8) {
      spoken.syncGroup?.includes(minor) || await each('syncGroup', 4, 5, () => ['g', generation, me, null, 'consumer', 'range', [{ memberId: me, assignment: Buffer.from('mine') }]],
        a => none(a) && a.assignment.toString() === 'mine')
      spoken.heartbeat || await each('heartbeat', 4, 4, () => ['g', generation, me, null], none)
      spoken.offsetCommit || await each('offsetCommit', 8, 9, () => ['g', generation, me, null, parts([{ partitionIndex: 0, committedOffset: 3n, committedLeaderEpoch: 0, committedMetadata: 'note' }])],
        a => a.topics[0].partitions[0].errorCode === 0)
      spoken.describeGroups || await each('describeGroups', 5, 5, () => [['g'], true], a => a.groups[0].groupState === 'Stable' && a.groups[0].members.length === 1)
      await each('leaveGroup', v - 4, v - 4, () => ['g', [{ memberId: me, groupInstanceId: null, reason: null }]], none)
    } else {
      await kafka.leaveGroupV4.api.async(connection, 'g', [{ memberId: me, groupInstanceId: null }])
    }
  }
  await each('offsetFetch', 8, 9, () => [[{ groupId: 'g', memberId: null, memberEpoch: -1, topics: [{ name: 't', partitionIndexes: [0] }] }], false],
    a => a.groups[0].errorCode === 0 && a.groups[0].topics[0].partitions[0].committedOffset === 3n)
  await each('listGroups', 4, 5, () => [[], []], a => none(a) && a.groups[0].groupId === 'g')
  await each('offsetDelete', 0, 0, () => ['g', parts([{ partitionIndex: 0 }])], a => none(a) && a.topics[0].partitions[0].errorCode === 0)
  await each('deleteGroups', 2, 2, () => [['g']], a => a.results[0].groupId === 'g')
  for (const v of [0, 1])
    await each('consumerGroupHeartbeat', v, v, () => [`new${v}`, v === 0 ? '' : 'm', 0, null, null, 10000, ['t'], null, null, []],
      a => none(a) && a.assignment.topicPartitions[0].topicId === id && a.assignment.topicPartitions[0].partitions.length === 4)
}

async function transactions() {
  let me
  await each('initProducerId', 3, 5, () => ['tx', 60000, -1n, -1], (a, v) => { me = a; return none(a) && a.producerEpoch === v - 3 })
  await each('addPartitionsToTxn', 3, 3, () => [[{ transactionalId: 'tx', producerId: me.producerId, producerEpoch: me.producerEpoch, verifyOnly: false, topics: parts([0]) }]],
    a => (a.resultsByTopicV3AndBelow ?? a.resultsByTransaction?.[0]?.topicResults)[0].name === 't')
  await each('addOffsetsToTxn', 1, 3, () => ['tx', me.producerId, me.producerEpoch, 'mover'], none)
  await each('txnOffsetCommit', 3, 3, () => ['tx', 'mover', me.producerId, me.producerEpoch, -1, '', null, parts([{ partitionIndex: 0, committedOffset: 1n, committedLeaderEpoch: -1, committedMetadata: '' }])],
    a => a.topics[0].partitions[0].errorCode === 0)
  await each('describeTransactions', 0, 0, () => [['tx']], a => a.transactionStates[0].errorCode === 0 && a.transactionStates[0].transactionState === 'Ongoing')
  await each('listTransactions', 0, 1, () => [[], [], -1n], a => none(a) && a.transactionStates[0].transactionalId === 'tx')
  await each('describeProducers', 0, 0, () => [[{ name: 't', partitionIndexes: [0] }]], a => a.topics[0].partitions[0].errorCode === 0)
  await each('endTxn', 3, 3, () => ['tx', me.producerId, me.producerEpoch, true], none)
}

await connection.connect(host, Number(port))
const id = await topics()
await records(id)
await groups(id)
await transactions()
await each('deleteTopics', 6, 6, () => [[{ name: 't' }], 1000], a => a.responses[0].errorCode === 0)
await connection.close()
console.log(JSON.stringify({ spoken: Object.fromEntries(Object.entries(spoken).map(([k, v]) => [k, v.sort((a, b) => a - b)])), wrong }))
