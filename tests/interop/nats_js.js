// npm's nats, as it comes, against the server given: prints `ok NAME` a check. With CA, CERT and KEY
// in its environment, which are files, over TLS; with FIRST before INFO.
'use strict';
const { connect, StringCodec, headers, ErrorCode } = require('nats');
const assert = require('assert');
const text = StringCodec();
const servers = process.argv[2];

const { CA, CERT, KEY, FIRST } = process.env;
const tls = CA && { caFile: CA, certFile: CERT, keyFile: KEY, handshakeFirst: FIRST !== undefined };

const connections = (count) =>
  Promise.all(Array.from({ length: count }, (_, i) => connect({ servers, name: `js-${i}`, ...(tls && { tls }) })));

async function publishSubscribe() {
  const [a, b, c] = await connections(3);
  const sub = b.subscribe('orders.*', { max: 1000 });
  await b.flush();
  for (let i = 0; i < 1000; i++) a.publish('orders.eu', text.encode(String(i)));
  let next = 0;
  for await (const m of sub) assert.strictEqual(text.decode(m.data), String(next++));
  assert.strictEqual(next, 1000);
  await Promise.all([a, b, c].map((nc) => nc.drain()));
}

async function requestReply() {
  const [a, b, c] = await connections(3);
  b.subscribe('svc.echo', { callback: (_err, m) => m.respond(m.data) });
  await b.flush();
  for (let i = 0; i < 100; i++) {
    const reply = await a.request('svc.echo', text.encode(String(i)), { timeout: 10000 });
    assert.strictEqual(text.decode(reply.data), String(i));
  }
  await assert.rejects(c.request('svc.nobody', undefined, { timeout: 10000 }), (e) => e.code === ErrorCode.NoResponders);
  await Promise.all([a, b, c].map((nc) => nc.close()));
}

async function queueGroups() {
  const nodes = await connections(6);
  const counts = [0, 0, 0, 0, 0];
  const total = 2000;
  await new Promise(async (done, fail) => {
    for (let i = 0; i < 5; i++) {
      nodes[i].subscribe('jobs.>', {
        queue: 'workers',
        callback: (err) => {
          if (err) fail(err);
          counts[i]++;
          if (counts.reduce((x, y) => x + y) === total) done();
        },
      });
      await nodes[i].flush();
    }
    for (let i = 0; i < total; i++) nodes[5].publish('jobs.x');
  });
  assert(Math.min(...counts) > total / 5 / 2, counts.join());
  await Promise.all(nodes.map((nc) => nc.close()));
}

async function headersAndSizes() {
  const [a, b] = await connections(2);
  const sub = b.subscribe('h');
  await b.flush();
  const h = headers();
  h.set('Color', 'blue');
  a.publish('h', text.encode('body'), { headers: h });
  const big = new Uint8Array(1000000).fill(120);
  a.publish('h', big);
  let seen = 0;
  for await (const m of sub) {
    if (seen++ === 0) assert.strictEqual(m.headers.get('Color'), 'blue');
    else {
      assert.deepStrictEqual(Buffer.from(m.data), Buffer.from(big));
      break;
    }
  }
  await a.close();
  await b.close();
}

(async () => {
  for (const check of [publishSubscribe, requestReply, queueGroups, headersAndSizes]) {
    await check();
    console.log('ok', check.name);
  }
  process.exit(0);
})().catch((e) => {
  console.error(e);
  process.exit(1);
});
