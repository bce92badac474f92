"""What others may have written into Redis: texts and records that break pages."""

import json

from redis import Redis

# What comes through unescaped is an element, or an attribute, that no template has.
TEXTS = [
    "<script>alert(1)</script>",
    "\"'><img src=x onerror=alert(2)>",
    "</title></textarea></pre><hostile-3>",
    "javascript:alert(4)",
    "{{ 7 * 191 }}{% raw %}",
    "\u202egnp.exe\u2066",
    "\x00\x1b[31m\r\n\t\x7f",
    "../../../etc/passwd?a=b&c=d#e%00",
    "x" * 20_000,
    "ünï\u2028 \U0001f600 \ud83d",
    "",
    "a,b:c*",
]
# Bytes that stand where a record should.
RECORDS = [
    b"\xff\xfe",
    b"",
    b"null",
    b"[]",
    b'"text"',
    b"1e999",
    b"{}",
    b'{"payload":null,"queue":7,"failed_at":[],"backtrace":"no list","exception":{"a":1}}',
    b'{"payload":{"class":["a"],"args":{"a":1}},"forensics":[1],"error":1e999,"retried_at":{}}',
    b'{"payload":{"class":"A","args":"text"},"forensics":{"stack":[[1],{}],"stderr":"x","a":{}}}',
    b'{"class":null,"args":7}',
    b'{"class":"A","args":' + b"[" * 400 + b"]" * 400 + b"}",
    b'{"class":"A","args":[' + b"9" * 4000 + b"]}",
    b'{"class":"A","args":["' + b"y" * 600_000 + b'"]}',
    b'{"queue":"q","run_at":"\xff","payload":{}}',
    b'{"queue":"q","run_at":"9999999999999","payload":{"class":{"a":[]},"args":[]}}',
]
# Those that could be the status of a job, but for what is in them.
STATUSES = [
    b'{"status":"working"}',
    b'{"status":["working"],"uuid":{}}',
    b'{"status":"working","uuid":7,"name":[],"queue":{},"message":1,"time":"x","num":"3"}',
    b'{"status":"working","time":1e300,"num":1e999,"total":-1}',
    b'{"status":"working","num":-4,"total":1e-300}',
    b'{"status":"completed","result":1e999}',
    b'{"status":"completed","result":' + b"[" * 400 + b"]" * 400 + b"}",
    b'{"status":"completed","result":"' + b"y" * 300_000 + b'"}',
    b'{"status":"delayed","due":1}',
    b'{"status":"delayed","due":9e15}',
]


def text_bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def fill(redis: Redis) -> None:
    """Put each text and record wherever a record of that kind may stand."""
    for text in TEXTS:
        name = text_bytes(text)
        entry = {
            "failed_at": text,
            "payload": {"class": text, "args": [text, {text: [text]}]},
            "exception": text,
            "error": text,
            "backtrace": [text],
            "worker": text,
            "queue": text,
            "forensics": {"stack": [text], "stderr": [text], "signal": text, text: text},
        }
        redis.rpush("resque:failed", json.dumps(entry))
        redis.sadd("resque:queues", name)
        redis.rpush(b"resque:queue:" + name, json.dumps({"class": text, "args": [text]}))
        item = {"class": text, "args": [text], "queue": text}
        redis.rpush("resque:delayed:2000000000", json.dumps(item))
        worker = b"host-" + name + b":12:" + name
        redis.sadd("resque:workers", worker, name)
        redis.hset("resque:workers:heartbeat", worker, name)
        record = {"queue": text, "run_at": text, "payload": {"class": text, "args": [text]}}
        redis.set(b"resque:worker:" + worker, json.dumps(record))
        redis.set(b"resque:worker:" + worker + b":started", name)
        schedule = {"class": text, "queue": text, "args": [text], "cron": text, "description": text}
        redis.hset("resque:persistent_schedules", name, json.dumps(schedule))
        redis.sadd("resque:fork:queues:paused", name)
        redis.hset("resque:fork:jobs", name, name)
        ends = {b"jobs\tq\t" + name + b"\tdone": 1, b"deaths\t" + name + b"\t" + name: 1}
        redis.hset("resque:fork:metrics", mapping={**ends, name: name})  # type: ignore[dict-item]
        redis.hset("resque:fork:retry:" + "ab" * 20, mapping={"exception": name, "error": name})
        known = {"uuid": text, "status": "completed", "name": text, "queue": text, "message": text}
        more = {"time": 1.7e9, "num": 3, "total": 7, "result": [text], "options": {text: text}}
        redis.zadd("resque:_statuses", {name: 1.7e9})
        redis.set(b"resque:status:" + name, json.dumps({**known, **more}))
    redis.zadd("resque:delayed_queue_schedule", {"2000000000": 2e9, "<hostile-5>": 1, "\x00": 2})
    redis.zadd("resque:fork:retries", {"ab" * 20: 1, "<hostile-6>": 2})
    redis.hset("resque:fork:retry:<hostile-6>", mapping={"due": "never", "attempt": "<hostile-7>"})
    redis.rpush("resque:failed", *RECORDS)
    redis.rpush("resque:queue:records", *RECORDS)
    redis.sadd("resque:queues", "records", b"\xff\xfe")
    redis.rpush("resque:delayed:2000000000", *RECORDS)
    for number, raw in enumerate(RECORDS):
        name_of_worker = f"records:{number}:q"
        redis.sadd("resque:workers", name_of_worker)
        redis.set(f"resque:worker:{name_of_worker}", raw)
        redis.hset("resque:persistent_schedules", f"record {number}", raw)
        redis.zadd("resque:_statuses", {f"record {number}": number})
        redis.set(f"resque:status:record {number}", raw)
    for number, raw in enumerate(STATUSES):
        redis.zadd("resque:_statuses", {f"status {number}": number})
        redis.set(f"resque:status:status {number}", raw)
    redis.zadd("resque:_statuses", {"a set": 1})
    redis.sadd("resque:status:a set", "x")
    redis.set("resque:fork:records:1:q", "not a hash")
