// npm's nats, as it comes, logging in to the server given: prints `ok NAME` a check.
"use strict";
const { connect, nkeyAuthenticator, ErrorCode, StringCodec } = require("nats");

const [servers, seed] = process.argv.slice(2);
const text = StringCodec();

function assert(condition, what) {
  if (!condition) throw new Error(what);
}

async function refused(options) {
  try {
    await (await connect({ servers, reconnect: false, ...options })).close();
  } catch (err) {
    return err.code === ErrorCode.AuthorizationViolation;
  }
  return false;
}

async function passwords() {
  const nc = await connect({ servers, user: "alice", pass: "wonder" });
  await nc.flush();
  await nc.close();
  const hashed = await connect({ servers, user: "hash", pass: "builder" });
  await hashed.flush();
  await hashed.close();
  assert(await refused({ user: "alice", pass: "wrong" }), "wrong password");
  assert(await refused({ user: "hash", pass: "wrong" }), "wrong password against a hash");
  assert(await refused({}), "nothing said");
}

async function nkeys() {
  const authenticator = nkeyAuthenticator(text.encode(seed));
  for (let i = 0; i < 20; i++) {
    const nc = await connect({ servers, authenticator });
    await nc.flush();
    await nc.close();
  }
}

async function permissions() {
  const nc = await connect({ servers, user: "alice", pass: "wonder" });
  const denied = [];
  (async () => {
    for await (const s of nc.status()) if (s.type === "error") denied.push(s.data);
  })();
  const sub = nc.subscribe("secret.plans");
  const ended = (async () => {
    try {
      for await (const m of sub) throw new Error(`a message: ${m.subject}`);
    } catch (err) {
      return err.code;
    }
  })();
  nc.publish("secret.plans");
  await nc.flush();
  assert((await ended) === ErrorCode.PermissionsViolation, "subscription is told");
  for (let i = 0; i < 100 && denied.length < 2; i++) await nc.flush();
  assert(denied.length === 2 && denied.every((d) => d === ErrorCode.PermissionsViolation), `errors: ${denied}`);
  await nc.close();
}

async function imports() {
  const service = await connect({ servers, user: "carol", pass: "garden" });
  const sub = service.subscribe("help.me");
  (async () => {
    for await (const m of sub) m.respond(text.encode(`re: ${text.decode(m.data)}`));
  })();
  await service.flush();
  const nc = await connect({ servers, user: "alice", pass: "wonder" });
  for (let i = 0; i < 50; i++) {
    const m = await nc.request("support", text.encode(`${i}`), { timeout: 10000 });
    assert(text.decode(m.data) === `re: ${i}`, "answer");
  }
  const news = nc.subscribe("theirs.news.>", { max: 3 });
  await nc.flush();
  for (let i = 0; i < 3; i++) service.publish(`news.${i}`, text.encode(`${i}`));
  let n = 0;
  for await (const m of news) assert(m.subject === `theirs.news.${n}` && text.decode(m.data) === `${n++}`, "news");
  assert(n === 3, "all news");
  await nc.close();
  await service.close();
}

(async () => {
  for (const check of [passwords, nkeys, permissions, imports]) {
    await check();
    console.log(`ok ${check.name}`);
  }
})().catch((err) => {
  console.error(err);
  process.exit(1);
});
