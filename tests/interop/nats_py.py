"""PyPI's nats-py, as it comes, against the server given: prints `ok NAME` a check.

With CA, CERT and KEY in its environment, which are files, over TLS; with FIRST before INFO."""
import asyncio
import os
import ssl
import sys

import nats
from nats.errors import NoRespondersError

URL = sys.argv[1]


def security():
    if "CA" not in os.environ:
        return {}
    context = ssl.create_default_context(cafile=os.environ["CA"])
    context.load_cert_chain(os.environ["CERT"], os.environ["KEY"])
    return {"tls": context, "tls_handshake_first": "FIRST" in os.environ}


async def connections(count):
    return [await nats.connect(URL, name=f"py-{i}", **security()) for i in range(count)]


async def publish_subscribe():
    a, b, c = await connections(3)
    got = []
    done = asyncio.Event()

    async def handler(msg):
        got.append(msg.data)
        if len(got) == 1000:
            done.set()

    await b.subscribe("orders.*", cb=handler)
    await b.flush()
    for i in range(1000):
        await a.publish("orders.eu", str(i).encode())
    await a.flush()
    await asyncio.wait_for(done.wait(), 20)
    assert got == [str(i).encode() for i in range(1000)], "order"
    for nc in (a, b, c):
        await nc.drain()


async def request_reply():
    a, b, c = await connections(3)

    async def answer(msg):
        await msg.respond(b"re: " + msg.data)

    await b.subscribe("svc.echo", cb=answer)
    await b.flush()
    for i in range(100):
        reply = await a.request("svc.echo", str(i).encode(), timeout=10)
        assert reply.data == f"re: {i}".encode()
    try:
        await c.request("svc.nobody", b"", timeout=10)
        raise AssertionError("nobody answered, and no error")
    except NoRespondersError:
        pass
    for nc in (a, b, c):
        await nc.close()


async def queue_groups():
    nodes = await connections(6)
    counts = [0] * 5
    total = 2000
    done = asyncio.Event()

    def member(i):
        async def handler(_msg):
            counts[i] += 1
            if sum(counts) == total:
                done.set()
        return handler

    for i in range(5):
        await nodes[i].subscribe("jobs.>", queue="workers", cb=member(i))
        await nodes[i].flush()
    for i in range(total):
        await nodes[5].publish("jobs.x", b"")
    await nodes[5].flush()
    await asyncio.wait_for(done.wait(), 20)
    assert min(counts) > total / 5 / 2, counts
    for nc in nodes:
        await nc.close()


async def headers():
    a, b = await connections(2)
    sub = await b.subscribe("h")
    await b.flush()
    await a.publish("h", b"body", headers={"Color": "blue", "Size": "7"})
    msg = await sub.next_msg(timeout=10)
    assert msg.headers == {"Color": "blue", "Size": "7"} and msg.data == b"body", msg
    big = b"x" * 1000000
    await a.publish("h", big)
    assert (await sub.next_msg(timeout=10)).data == big
    await a.close()
    await b.close()


async def main():
    for check in (publish_subscribe, request_reply, queue_groups, headers):
        await check()
        print("ok", check.__name__, flush=True)


asyncio.run(main())
