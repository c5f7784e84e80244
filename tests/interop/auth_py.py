"""PyPI's nats-py, as it comes, logging in to the server given: prints `ok NAME` a check."""
import asyncio
import sys

import nats
from nats.errors import NoServersError

URL = sys.argv[1]


async def refused(**options):
    seen = []

    async def error(e):
        seen.append(str(e))

    try:
        nc = await nats.connect(URL, allow_reconnect=False, max_reconnect_attempts=0, error_cb=error, **options)
        await nc.close()
        return False
    except (NoServersError, nats.errors.Error) as e:
        seen.append(str(e))
    return any("uthorization Violation" in s for s in seen)


async def passwords():
    for user, password in (("alice", "wonder"), ("hash", "builder")):
        nc = await nats.connect(URL, user=user, password=password)
        await nc.flush()
        await nc.close()
        assert await refused(user=user, password="wrong")
    assert await refused()


async def permissions():
    errors = []

    async def error(e):
        errors.append(str(e))

    nc = await nats.connect(URL, user="alice", password="wonder", error_cb=error)
    await nc.subscribe("secret.plans")
    await nc.publish("secret.plans", b"")
    for _ in range(5):
        await nc.flush()
    assert len([e for e in errors if "ermissions" in e]) == 2, errors
    await nc.close()


async def imports():
    service = await nats.connect(URL, user="carol", password="garden")

    async def answer(msg):
        await msg.respond(b"re: " + msg.data)

    await service.subscribe("help.me", cb=answer)
    await service.flush()
    nc = await nats.connect(URL, user="alice", password="wonder")
    for i in range(50):
        reply = await nc.request("support", str(i).encode(), timeout=10)
        assert reply.data == f"re: {i}".encode()
    sub = await nc.subscribe("theirs.news.>")
    await nc.flush()
    for i in range(3):
        await service.publish(f"news.{i}", str(i).encode())
    for i in range(3):
        m = await sub.next_msg(timeout=10)
        assert (m.subject, m.data) == (f"theirs.news.{i}", str(i).encode())
    await nc.close()
    await service.close()


async def many():
    async def one(i):
        nc = await nats.connect(URL, user="alice", password="wonder", name=f"py-{i}")
        await nc.flush()
        return nc
    for nc in await asyncio.gather(*(one(i) for i in range(100))):
        await nc.close()


async def main():
    for check in (passwords, permissions, imports, many):
        await check()
        print(f"ok {check.__name__}")


asyncio.run(main())
