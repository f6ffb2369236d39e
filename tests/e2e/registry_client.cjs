// Registers, encodes and decodes with @kafkajs/confluent-schema-registry; node registry_client.cjs URL. Prints what it saw as JSON.
const { SchemaRegistry, SchemaType } = require("@kafkajs/confluent-schema-registry");

const order = { type: "record", name: "Order", namespace: "shop", fields: [
  { name: "id", type: "long" }, { name: "status", type: ["null", "string"], default: null } ] };

async function main() {
  const registry = new SchemaRegistry({ host: process.argv[2], retry: { retries: 0 } });
  const schema = { type: SchemaType.AVRO, schema: JSON.stringify(order) };
  const seen = {};
  ({ id: seen.id } = await registry.register(schema, { subject: "node-value" }));
  ({ id: seen.again } = await registry.register(schema, { subject: "node-value" }));
  const bytes = await registry.encode(seen.id, { id: 7, status: "pending" });
  seen.prefix = bytes.subarray(0, 5).toString("hex");
  const reader = new SchemaRegistry({ host: process.argv[2], retry: { retries: 0 } }); // nothing cached
  seen.decoded = await reader.decode(bytes);
  seen.latest = await reader.getLatestSchemaId("node-value");
  seen.byVersion = await reader.getRegistryId("node-value", 1);
  const next = { ...order, fields: [...order.fields, { name: "total", type: "double" }] };
  try {
    await registry.register({ type: SchemaType.AVRO, schema: JSON.stringify(next) }, { subject: "node-value" });
  } catch (e) {
    seen.refused = e.message;
  }
  console.log(JSON.stringify(seen));
}
main().catch((e) => { console.error(e); process.exit(1); });
