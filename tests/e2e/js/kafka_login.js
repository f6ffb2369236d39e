// kafkajs over TLS: logs in, sends, reads it back, and is refused with another password. Arguments: address, certificate, mechanism, user, password.
const fs = require("fs");
const { Kafka, logLevel } = require("kafkajs");

const [address, certificate, mechanism, username, password] = process.argv.slice(2);
const topic = "t", group = `login-${mechanism}`;

function client(secret) {
  return new Kafka({ clientId: "login", brokers: [address], logLevel: logLevel.NOTHING, retry: { retries: 1 },
    ssl: { ca: [fs.readFileSync(certificate)] }, sasl: { mechanism, username, password: secret } });
}

async function main() {
  const kafka = client(password), producer = kafka.producer(), consumer = kafka.consumer({ groupId: group });
  await producer.connect();
  const sent = await producer.send({ topic, messages: [{ value: mechanism }] });
  await producer.disconnect();
  await consumer.connect();
  await consumer.subscribe({ topics: [topic], fromBeginning: true });
  const read = await new Promise((resolve, reject) => {
    consumer.run({ eachMessage: async ({ message }) => {
      if (message.value.toString() === mechanism) resolve([mechanism]);
    } }).catch(reject);
  });
  await consumer.disconnect();
  const stranger = client(password + "x").producer();
  const wrong = await stranger.connect().then(() => "it got in", (e) => (e.cause || e).name === "KafkaJSNonRetriableError" ? e.cause.name : e.name);
  await stranger.disconnect();
  console.log(JSON.stringify({ sent: sent.length, read, wrong }));
}

main().catch((e) => { console.error(e); process.exit(1); });
