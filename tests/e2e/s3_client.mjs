// The newest JavaScript SDK, with its defaults: node s3_client.mjs ENDPOINT BUCKET FILE (of 20 MB).
// Prints one JSON object with what it saw; any surprise is an exception.
import { createHash } from "node:crypto";
import { createReadStream, readFileSync } from "node:fs";
import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CreateBucketCommand,
  CreateMultipartUploadCommand,
  DeleteObjectsCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListObjectsV2Command,
  ListPartsCommand,
  PutObjectCommand,
  S3Client,
  UploadPartCommand,
} from "@aws-sdk/client-s3";

const [endpoint, Bucket, file] = process.argv.slice(2);
const client = new S3Client({
  endpoint,
  region: "us-east-1",
  forcePathStyle: true,
  maxAttempts: 1,
  credentials: { accessKeyId: process.env.S3_KEY, secretAccessKey: process.env.S3_SECRET },
});
const sent = [];
client.middlewareStack.add(
  (next) => (args) => {
    sent.push(args.request.headers["x-amz-content-sha256"] ?? "");
    return next(args);
  },
  { step: "finalizeRequest", priority: "low", name: "watch" },
);
const md5 = (bytes) => createHash("md5").update(bytes).digest("hex");
const body = async (answer) => Buffer.from(await answer.Body.transformToByteArray());
const content = readFileSync(file);
const out = {};

await client.send(new CreateBucketCommand({ Bucket }));

// A body that is a stream goes out in chunks with a trailing checksum.
const put = await client.send(
  new PutObjectCommand({ Bucket, Key: "stream", Body: createReadStream(file), ContentLength: content.length }),
);
out.framing = sent.at(-1);
out.streamEtag = put.ETag === `"${md5(content)}"`;
out.streamChecksum = put.ChecksumCRC32;
const got = await client.send(new GetObjectCommand({ Bucket, Key: "stream" }));
out.streamSame = content.equals(await body(got));
out.checksumKept = got.ChecksumCRC32 === put.ChecksumCRC32;

for (const ChecksumAlgorithm of ["CRC32", "CRC32C", "SHA1", "SHA256"]) {
  await client.send(new PutObjectCommand({ Bucket, Key: `sum/${ChecksumAlgorithm}`, Body: "hello", ChecksumAlgorithm }));
}
await client.send(
  new PutObjectCommand({ Bucket, Key: "sum/none", Body: "", Metadata: { who: "me" }, ContentType: "text/plain" }),
);
const head = await client.send(new HeadObjectCommand({ Bucket, Key: "sum/none" }));
out.meta = head.Metadata.who === "me" && head.ContentType === "text/plain" && head.ContentLength === 0;

const range = await client.send(new GetObjectCommand({ Bucket, Key: "stream", Range: "bytes=100-199" }));
out.range = range.ContentRange === `bytes 100-199/${content.length}` && content.subarray(100, 200).equals(await body(range));

// Parts.
const { UploadId } = await client.send(new CreateMultipartUploadCommand({ Bucket, Key: "parts" }));
const Parts = [];
for (let n = 1, at = 0; at < content.length; n++, at += 8 << 20) {
  const part = await client.send(
    new UploadPartCommand({ Bucket, Key: "parts", UploadId, PartNumber: n, Body: content.subarray(at, at + (8 << 20)) }),
  );
  Parts.push({ PartNumber: n, ETag: part.ETag, ChecksumCRC32: part.ChecksumCRC32 });
}
const listed = await client.send(new ListPartsCommand({ Bucket, Key: "parts", UploadId }));
out.parts = listed.Parts.length === 3 && listed.Parts[0].ETag === Parts[0].ETag;
const done = await client.send(new CompleteMultipartUploadCommand({ Bucket, Key: "parts", UploadId, MultipartUpload: { Parts } }));
out.partsEtag = done.ETag.endsWith('-3"');
out.partsSame = content.equals(await body(await client.send(new GetObjectCommand({ Bucket, Key: "parts" }))));
const second = await client.send(new CreateMultipartUploadCommand({ Bucket, Key: "parts" }));
await client.send(new AbortMultipartUploadCommand({ Bucket, Key: "parts", UploadId: second.UploadId }));

// Lists, and deletion of what is listed.
const list = await client.send(new ListObjectsV2Command({ Bucket, Prefix: "sum/" }));
out.list = list.Contents.map((o) => o.Key);
const gone = await client.send(
  new DeleteObjectsCommand({ Bucket, Delete: { Objects: list.Contents.map(({ Key }) => ({ Key })) } }),
);
out.deleted = gone.Deleted.length;
try {
  await client.send(new GetObjectCommand({ Bucket, Key: "sum/none" }));
} catch (e) {
  out.missing = e.name;
}
console.log(JSON.stringify(out));
