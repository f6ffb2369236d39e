"""The S3 door with the clients that people use: the AWS command line, boto3, the JavaScript SDK."""
import hashlib
import http.client
import json
import os
import random
import shutil
import subprocess
import threading
import urllib.error
import urllib.parse
import urllib.request

import boto3
import pytest
from botocore.client import Config
from botocore.exceptions import ClientError
from conftest import ROOT

MB = 1024 * 1024
KEY, SECRET = "tarn", "tarn-secret"


@pytest.fixture
def store(project):
    """A project that only has objects."""
    one = project(settings={"postgres": {"port": "off"}, "buckets": ["raw"], "s3": {"access_key": KEY, "secret_key": SECRET}})
    for folder in ("connectors", "migrations"):
        shutil.rmtree(one.folder / folder, ignore_errors=True)
    return one.start()


def client(one, key=KEY, secret=SECRET, **config):
    return boto3.client("s3", endpoint_url=one.url("s3"), aws_access_key_id=key, aws_secret_access_key=secret,
                        region_name="us-east-1", config=Config(retries={"max_attempts": 1}, **config))


def code(call, *args, **kwargs):
    with pytest.raises(ClientError) as raised:
        call(*args, **kwargs)
    return raised.value.response["Error"]["Code"]


def aws(one, *args, secret=SECRET):
    env = {**one.environment(), "AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": secret, "AWS_DEFAULT_REGION": "us-east-1",
           "AWS_MAX_ATTEMPTS": "1"}
    return subprocess.run(["/usr/bin/aws", "--endpoint-url", one.url("s3"), "s3", *map(str, args)], env=env,
                          capture_output=True, text=True, timeout=120)


def test_aws_command_line(store):
    folder = store.folder / "files"
    (folder / "sub dir").mkdir(parents=True)
    (folder / "a.txt").write_text("hello")
    (folder / "sub dir" / "é+b.txt").write_text("there")
    (folder / "big").write_bytes(random.Random(1).randbytes(20 * MB))
    assert aws(store, "mb", "s3://new").returncode == 0
    assert aws(store, "cp", folder / "big", "s3://new/big").returncode == 0
    assert aws(store, "cp", "s3://new/big", store.folder / "back").returncode == 0
    assert (store.folder / "back").read_bytes() == (folder / "big").read_bytes()
    assert aws(store, "sync", folder, "s3://new/all").returncode == 0
    listed = aws(store, "ls", "s3://new/", "--recursive").stdout
    assert "all/a.txt" in listed and "all/sub dir/é+b.txt" in listed and "20971520 big" in listed
    assert "PRE all/" in aws(store, "ls", "s3://new/").stdout
    assert aws(store, "sync", folder, "s3://new/all").stdout.strip() == ""  # nothing changed
    assert aws(store, "sync", "s3://new/all", store.folder / "copy").returncode == 0
    assert (store.folder / "copy" / "sub dir" / "é+b.txt").read_text() == "there"
    assert aws(store, "cp", "s3://new/all/a.txt", "s3://new/copied.txt").returncode == 0
    assert aws(store, "cp", "s3://new/copied.txt", "-").stdout == "hello"
    assert aws(store, "rm", "s3://new", "--recursive").returncode == 0
    assert aws(store, "ls", "s3://new", "--recursive").stdout == ""
    assert aws(store, "rb", "s3://new").returncode == 0
    assert "SignatureDoesNotMatch" in aws(store, "cp", folder / "a.txt", "s3://raw/a", secret="wrong").stderr


def test_boto3_objects(store):
    s3 = client(store)
    put = s3.put_object(Bucket="raw", Key="a/b//../c", Body=b"0123456789", Metadata={"who": "me"}, ContentType="text/x",
                        CacheControl="no-cache")
    assert put["ETag"] == '"781e5e245d69b566979b86e28d23f2c7"'
    got = s3.get_object(Bucket="raw", Key="a/b//../c")
    assert got["Body"].read() == b"0123456789" and got["Metadata"] == {"who": "me"}
    assert got["ContentType"] == "text/x" and got["CacheControl"] == "no-cache" and got["AcceptRanges"] == "bytes"
    for asked, content, told in (("bytes=2-4", b"234", "bytes 2-4/10"), ("bytes=-3", b"789", "bytes 7-9/10"),
                                 ("bytes=8-", b"89", "bytes 8-9/10"), ("bytes=0-99", b"0123456789", "bytes 0-9/10")):
        got = s3.get_object(Bucket="raw", Key="a/b//../c", Range=asked)
        assert got["Body"].read() == content and got["ContentRange"] == told
        assert got["ResponseMetadata"]["HTTPStatusCode"] == 206
    assert code(s3.get_object, Bucket="raw", Key="a/b//../c", Range="bytes=10-") == "InvalidRange"
    assert code(s3.get_object, Bucket="raw", Key="a/b//../c", IfMatch='"x"') == "PreconditionFailed"
    assert code(s3.get_object, Bucket="raw", Key="a/b//../c", IfNoneMatch=put["ETag"]) == "304"
    assert code(s3.get_object, Bucket="raw", Key="none") == "NoSuchKey"
    assert code(s3.get_object, Bucket="none", Key="none") == "NoSuchBucket"
    assert code(s3.head_object, Bucket="raw", Key="none") == "404"
    assert code(s3.put_object, Bucket="raw", Key="x", Body=b"x", ContentMD5="1B2M2Y8AsgTpgAmY7PhCfg==") == "BadDigest"
    assert code(s3.put_object, Bucket="raw", Key="k" * 1025, Body=b"x") == "KeyTooLongError"
    assert code(s3.put_object_acl, Bucket="raw", Key="x", ACL="public-read") == "NotImplemented"
    copy = {"Bucket": "raw", "Key": "a/b//../c"}
    s3.copy_object(Bucket="raw", Key="copy é", CopySource=copy)
    assert s3.head_object(Bucket="raw", Key="copy é")["Metadata"] == {"who": "me"}
    s3.copy_object(Bucket="raw", Key="copy é", CopySource=copy, MetadataDirective="REPLACE", Metadata={"who": "you"})
    assert s3.get_object(Bucket="raw", Key="copy é")["Metadata"] == {"who": "you"}
    assert code(s3.copy_object, Bucket="raw", Key="a/b//../c", CopySource=copy) == "InvalidRequest"
    s3.delete_object(Bucket="raw", Key="copy é")
    s3.delete_object(Bucket="raw", Key="copy é")
    assert code(s3.delete_bucket, Bucket="raw") == "BucketNotEmpty"
    assert code(s3.create_bucket, Bucket="raw") == "BucketAlreadyOwnedByYou"


def test_boto3_lists(store):
    s3 = client(store)
    keys = sorted([f"{d}/{i}" for d in ("a", "b", "c d") for i in range(7)] + ["top", "é", "x&y<z>", "a"], key=str.encode)
    for key in keys:
        s3.put_object(Bucket="raw", Key=key, Body=key.encode())
    for version in ("list_objects_v2", "list_objects"):
        pages = s3.get_paginator(version).paginate(Bucket="raw", PaginationConfig={"PageSize": 4})
        assert [o["Key"] for page in pages for o in page.get("Contents", [])] == keys
        pages = list(s3.get_paginator(version).paginate(Bucket="raw", Delimiter="/", PaginationConfig={"PageSize": 2}))
        assert [p["Prefix"] for page in pages for p in page.get("CommonPrefixes", [])] == ["a/", "b/", "c d/"]
        assert [o["Key"] for page in pages for o in page.get("Contents", [])] == ["a", "top", "x&y<z>", "é"]
    got = s3.list_objects_v2(Bucket="raw", Prefix="b/", StartAfter="b/4")
    assert [o["Key"] for o in got["Contents"]] == ["b/5", "b/6"] and got["KeyCount"] == 2
    assert code(s3.list_objects_v2, Bucket="none") == "NoSuchBucket"
    gone = s3.delete_objects(Bucket="raw", Delete={"Objects": [{"Key": k} for k in keys + ["never there"]]})
    assert len(gone["Deleted"]) == len(keys) + 1 and "Errors" not in gone
    assert s3.list_objects_v2(Bucket="raw")["KeyCount"] == 0


def test_boto3_multipart(store):
    s3 = client(store)
    content = random.Random(2).randbytes(20 * MB)
    (store.folder / "file").write_bytes(content)
    s3.upload_file(str(store.folder / "file"), "raw", "file")  # in parts of 8 MB
    assert s3.head_object(Bucket="raw", Key="file")["ETag"].endswith('-3"')
    s3.download_file("raw", "file", str(store.folder / "back"))  # in ranges
    assert (store.folder / "back").read_bytes() == content
    upload = s3.create_multipart_upload(Bucket="raw", Key="k", Metadata={"a": "b"})["UploadId"]
    part = {"Bucket": "raw", "Key": "k", "UploadId": upload}
    one = s3.upload_part(PartNumber=1, Body=content[:5 * MB], **part)["ETag"]
    two = s3.upload_part_copy(PartNumber=2, CopySource={"Bucket": "raw", "Key": "file"}, CopySourceRange="bytes=5-9",
                              **part)["CopyPartResult"]["ETag"]
    small = s3.upload_part(PartNumber=3, Body=b"x", **part)["ETag"]
    assert [p["Size"] for p in s3.list_parts(**part)["Parts"]] == [5 * MB, 5, 1]
    assert [u["Key"] for u in s3.list_multipart_uploads(Bucket="raw")["Uploads"]] == ["k"]

    def complete(*parts):
        return {**part, "MultipartUpload": {"Parts": [{"PartNumber": n, "ETag": e} for n, e in parts]}}
    assert code(s3.complete_multipart_upload, **complete((1, one), (2, two), (3, small))) == "EntityTooSmall"
    assert code(s3.complete_multipart_upload, **complete((2, two), (1, one))) == "InvalidPartOrder"
    assert code(s3.complete_multipart_upload, **complete((1, two))) == "InvalidPart"
    s3.complete_multipart_upload(**complete((1, one), (2, two)))
    got = s3.get_object(Bucket="raw", Key="k")
    assert got["Body"].read() == content[:5 * MB] + content[5:10] and got["Metadata"] == {"a": "b"}
    assert code(s3.complete_multipart_upload, **complete((1, one))) == "NoSuchUpload"
    assert code(s3.abort_multipart_upload, **part) == "NoSuchUpload"


def test_presigned_urls(store):
    s3 = client(store, signature_version="s3v4")
    url = s3.generate_presigned_url("put_object", {"Bucket": "raw", "Key": "a b"}, ExpiresIn=60)
    with urllib.request.urlopen(urllib.request.Request(url, data=b"by link", method="PUT")) as answer:
        assert answer.status == 200
    url = s3.generate_presigned_url("get_object", {"Bucket": "raw", "Key": "a b", "ResponseContentType": "text/y"}, ExpiresIn=60)
    with urllib.request.urlopen(url) as answer:
        assert answer.read() == b"by link" and answer.headers["Content-Type"] == "text/y"
    for bad in (url.replace("a%20b", "a%20c"), url.replace("X-Amz-Expires=60", "X-Amz-Expires=61"), url.split("?")[0]):
        with pytest.raises(urllib.error.HTTPError) as raised:
            urllib.request.urlopen(bad)
        assert raised.value.code == 403


def test_virtual_host_style(store):
    port = store.port("s3")
    s3 = boto3.client("s3", endpoint_url=f"http://localhost:{port}", aws_access_key_id=KEY, aws_secret_access_key=SECRET,
                      region_name="us-east-1", config=Config(s3={"addressing_style": "path"}, signature_version="s3v4"))
    s3.put_object(Bucket="raw", Key="k/1", Body=b"v")
    virtual = boto3.client("s3", endpoint_url=f"http://localhost:{port}", aws_access_key_id=KEY, aws_secret_access_key=SECRET,
                           region_name="us-east-1", config=Config(s3={"addressing_style": "virtual"}, signature_version="s3v4"))
    url = urllib.parse.urlsplit(virtual.generate_presigned_url("get_object", {"Bucket": "raw", "Key": "k/1"}))
    assert url.hostname == "raw.localhost"
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("GET", f"{url.path}?{url.query}", headers={"Host": url.netloc})
    answer = connection.getresponse()
    assert answer.status == 200 and answer.read() == b"v"


def test_strangers_and_giants_are_refused(store):
    assert code(client(store, secret="wrong").list_buckets) == "SignatureDoesNotMatch"
    assert code(client(store, key="nobody").list_buckets) == "InvalidAccessKeyId"
    url = urllib.parse.urlsplit(client(store, signature_version="s3v4").generate_presigned_url(
        "put_object", {"Bucket": "raw", "Key": "giant"}))
    connection = http.client.HTTPConnection("127.0.0.1", store.port("s3"), timeout=10)
    connection.putrequest("PUT", f"{url.path}?{url.query}", skip_host=True)
    connection.putheader("Host", url.netloc)
    connection.putheader("Content-Length", str(5 * 1024 ** 3 + 1))
    connection.endheaders()
    answer = connection.getresponse()
    assert answer.status == 400 and b"<Code>EntityTooLarge</Code>" in answer.read()


def test_newest_javascript_sdk(store):
    file = store.folder / "file"
    file.write_bytes(random.Random(3).randbytes(20 * MB))
    env = {**os.environ, "S3_KEY": KEY, "S3_SECRET": SECRET}
    done = subprocess.run(["node", ROOT / "tests/e2e/s3_client.mjs", store.url("s3"), "bucket-of-js", file], env=env, cwd=ROOT,
                          capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    saw = json.loads(done.stdout)
    assert saw.pop("framing") == "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
    assert len(saw.pop("streamChecksum")) == 8
    assert saw.pop("list") == ["sum/CRC32", "sum/CRC32C", "sum/SHA1", "sum/SHA256", "sum/none"]
    assert saw.pop("deleted") == 5 and saw.pop("missing") == "NoSuchKey"
    assert all(saw.values()), saw


def test_acknowledged_objects_survive_kill(store):
    """Four clients put and overwrite while the program is killed; then every answered put is there, whole."""
    last, gates = {}, [threading.Event() for _ in range(4)]

    def work(n, s3):
        rng = random.Random(n)
        for i in range(10000):
            key = f"{n}/{i % 20}"
            body = rng.randbytes(rng.choice((10, 5000, 300000)))
            last.setdefault(key, set()).add(hashlib.md5(body).hexdigest())  # may be there from now on
            try:
                s3.put_object(Bucket="raw", Key=key, Body=body)
            except Exception:
                return
            last[key] = {hashlib.md5(body).hexdigest()}
            if i == 60:
                gates[n].set()

    threads = [threading.Thread(target=work, args=(n, client(store))) for n in range(4)]
    for t in threads:
        t.start()
    for g in gates:
        assert g.wait(60)
    store.kill()
    for t in threads:
        t.join(60)
    store.start()
    s3 = client(store)
    listed = {o["Key"]: o for page in s3.get_paginator("list_objects_v2").paginate(Bucket="raw") for o in page["Contents"]}
    for key, sums in last.items():
        body = s3.get_object(Bucket="raw", Key=key)["Body"].read()
        assert hashlib.md5(body).hexdigest() in sums
        assert listed[key]["ETag"].strip('"') == hashlib.md5(body).hexdigest() and listed[key]["Size"] == len(body)
    files = [f for f in store.folder.rglob("blobs/*/*") if f.is_file()]
    assert len(files) == len(listed)  # what was half done is gone
