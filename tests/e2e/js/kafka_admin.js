// kafkajs' admin against a broker: settings, partitions, records, access lists. Prints one line of JSON.
const { AclOperationTypes, AclPermissionTypes, AclResourceTypes, ConfigResourceTypes, Kafka, ResourcePatternTypes, logLevel } = require('kafkajs')

const kafka = new Kafka({ clientId: 'js', brokers: [process.argv[2]], logLevel: logLevel.NOTHING, retry: { retries: 1 } })

async function refusal(promise) {
  try {
    await promise
    return 'it was done'
  } catch (e) {
    const cause = e.cause || e
    if (cause.partitions) return cause.partitions[0].error.type
    return e.type || (e.errors && e.errors[0] && e.errors[0].type) || e.message
  }
}

async function settings(admin, names) {
  const { resources } = await admin.describeConfigs({
    includeSynonyms: true,
    resources: [{ type: ConfigResourceTypes.TOPIC, name: 't', configNames: names }],
  })
  return Object.fromEntries(resources[0].configEntries.map(c => [c.configName, [c.configValue, c.configSource, c.isDefault]]))
}

async function main() {
  const admin = kafka.admin()
  const told = {}
  await admin.connect()
  await admin.createTopics({ topics: [{ topic: 't', numPartitions: 1, configEntries: [{ name: 'retention.ms', value: '1234' }] }] })
  told.made = await settings(admin, ['retention.ms', 'segment.ms'])
  const topic = (entries) => ({ resources: [{ type: ConfigResourceTypes.TOPIC, name: 't', configEntries: entries }] })
  await admin.alterConfigs({ validateOnly: true, ...topic([{ name: 'segment.ms', value: '99' }]) })
  told.validated = await settings(admin, ['segment.ms'])
  await admin.alterConfigs({ validateOnly: false, ...topic([{ name: 'segment.ms', value: '5678' }]) })
  told.altered = await settings(admin, ['retention.ms', 'segment.ms'])
  told.bad = await refusal(admin.alterConfigs({ validateOnly: false, ...topic([{ name: 'segment.ms', value: 'soon' }]) }))
  told.count = Object.keys(await settings(admin)).length

  await admin.createPartitions({ topicPartitions: [{ topic: 't', count: 3 }] })
  const { topics } = await admin.fetchTopicMetadata({ topics: ['t'] })
  told.partitions = topics[0].partitions.length
  told.fewer = await refusal(admin.createPartitions({ topicPartitions: [{ topic: 't', count: 2 }] }))

  const producer = kafka.producer()
  await producer.connect()
  await producer.send({ topic: 't', messages: Array.from({ length: 10 }, (_, n) => ({ value: String(n), partition: 0 })) })
  await producer.disconnect()
  await admin.deleteTopicRecords({ topic: 't', partitions: [{ partition: 0, offset: '4' }] })
  const offsets = (await admin.fetchTopicOffsets('t')).find(p => p.partition === 0)
  told.offsets = [offsets.low, offsets.high]
  told.beyond = await refusal(admin.deleteTopicRecords({ topic: 't', partitions: [{ partition: 0, offset: '11' }] }))

  const acl = {
    resourceType: AclResourceTypes.TOPIC, resourceName: 't', resourcePatternType: ResourcePatternTypes.LITERAL,
    principal: 'User:a', host: '*', operation: AclOperationTypes.READ, permissionType: AclPermissionTypes.ALLOW,
  }
  told.acls = [await refusal(admin.createAcls({ acl: [acl] })), await refusal(admin.describeAcls(acl)),
    await refusal(admin.deleteAcls({ filters: [acl] }))]
  told.moving = (await admin.listPartitionReassignments({})).topics.length
  const cluster = await admin.describeCluster()
  told.cluster = [cluster.brokers.length, cluster.controller === cluster.brokers[0].nodeId]
  await admin.disconnect()
  console.log(JSON.stringify(told))
}

main().catch(e => {
  console.error(e)
  process.exit(1)
})
