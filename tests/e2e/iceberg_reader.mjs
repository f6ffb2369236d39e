// Iceberg tables as icebird sees them: node iceberg_reader.mjs ENDPOINT BUCKET TABLE...
// TABLE is the path of a table's folder in the bucket. Prints one JSON object: for each table its rows (64-bit numbers and decimals as
// text, times in ISO) and how many files it has of each kind.  icebird asks Amazon's host names for objects; its fetch goes to
// ENDPOINT instead, signed.
import { GetObjectCommand, S3Client } from "@aws-sdk/client-s3";
import { icebergManifests, icebergMetadata, icebergRead } from "icebird";

const [endpoint, bucket, ...tables] = process.argv.slice(2);
const client = new S3Client({
  endpoint,
  region: "us-east-1",
  forcePathStyle: true,
  maxAttempts: 1,
  credentials: { accessKeyId: process.env.S3_KEY, secretAccessKey: process.env.S3_SECRET },
});

globalThis.fetch = async (url, init) => {
  const at = new URL(url);
  const Range = new Headers(init?.headers).get("range") ?? undefined;
  const answer = await client.send(
    new GetObjectCommand({ Bucket: at.hostname.split(".")[0], Key: decodeURIComponent(at.pathname.slice(1)), Range }),
  );
  return new Response(await answer.Body.transformToByteArray(), { status: answer.$metadata.httpStatusCode });
};

const plain = (value) => {
  if (typeof value === "bigint") return Number.isSafeInteger(Number(value)) ? Number(value) : value.toString();
  if (value instanceof Date) return value.toISOString();
  return value ?? null;
};

const out = {};
for (const table of tables) {
  const tableUrl = `s3://${bucket}/${table}`;
  const hint = await (await fetch(`https://${bucket}.s3.amazonaws.com/${table}/metadata/version-hint.text`)).text();
  const metadata = await icebergMetadata({ tableUrl, metadataFileName: `${hint}.metadata.json` });
  const kinds = (await icebergManifests(metadata)).flatMap((m) => m.entries.map((e) => e.data_file.content));
  const rows = await icebergRead({ tableUrl, metadata });
  out[table] = {
    rows: rows.map((row) => Object.fromEntries(Object.entries(row).map(([k, v]) => [k, plain(v)]))),
    files: { data: kinds.filter((k) => k === 0).length, deletes: kinds.filter((k) => k === 1).length, other: kinds.filter((k) => k > 1).length },
  };
}
console.log(JSON.stringify(out));
