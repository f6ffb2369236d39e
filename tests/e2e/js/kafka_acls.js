// kafkajs with ACLs: alice may not write, is granted a prefix, writes, and is denied again. Arguments: address, certificate.
const fs = require("fs");
const { AclOperationTypes, AclPermissionTypes, AclResourceTypes, Kafka, ResourcePatternTypes, logLevel } = require("kafkajs");

const [address, certificate] = process.argv.slice(2);

function client(username, password) {
  return new Kafka({ clientId: username, brokers: [address], logLevel: logLevel.NOTHING, retry: { retries: 1 },
    ssl: { ca: [fs.readFileSync(certificate)] }, sasl: { mechanism: "scram-sha-512", username, password } });
}

async function send() {
  const producer = client("alice", "päss,w=rd").producer();
  await producer.connect();
  try {
    return (await producer.send({ topic: "app-1", messages: [{ value: "x" }] })).length;
  } catch (e) {
    return e.type || (e.cause && e.cause.type) || e.message;
  } finally {
    await producer.disconnect();
  }
}

async function main() {
  const admin = client("admin", "admin-secret").admin();
  await admin.connect();
  await admin.createTopics({ topics: [{ topic: "app-1", numPartitions: 1 }] });
  const before = await send();
  const one = { resourceType: AclResourceTypes.TOPIC, resourceName: "app-", resourcePatternType: ResourcePatternTypes.PREFIXED,
    principal: "User:alice", host: "*", operation: AclOperationTypes.WRITE, permissionType: AclPermissionTypes.ALLOW };
  const created = await admin.createAcls({ acl: [one] });
  const sent = await send();
  const { resources } = await admin.describeAcls({ resourceType: AclResourceTypes.TOPIC, resourceName: "app-1",
    resourcePatternType: ResourcePatternTypes.MATCH, operation: AclOperationTypes.ANY, permissionType: AclPermissionTypes.ANY });
  const listed = resources.flatMap((r) => r.acls.map((a) => `${a.principal} ${a.operation === 4 ? "WRITE" : a.operation} on ${r.resourceName}`));
  const { filterResponses } = await admin.deleteAcls({ filters: [one] });
  const after = await send();
  await admin.disconnect();
  console.log(JSON.stringify({ before, created, sent, listed, deleted: filterResponses[0].matchingAcls.length, after }));
}

main().catch((e) => { console.error(e); process.exit(1); });
