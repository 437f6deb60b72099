// The reference client of `graphql-transport-ws`.
import WebSocket from 'ws';
import { createClient } from 'graphql-ws';
import { COMPLETED, authorization, check, done, equal, socket, upload } from './case.js';

const open = (more = {}) =>
  createClient({ url: socket, webSocketImpl: WebSocket, retryAttempts: 0, connectionParams: { authorization }, ...more });

async function all(client, payload) {
  const results = [];
  for await (const result of client.iterate(payload)) results.push(result);
  return results;
}

await check('graphql-ws: a query is one result and its end', async () => {
  const client = open();
  equal(await all(client, { query: '{ ping }' }), [{ data: { ping: 'pong' } }]);
  await client.dispose();
});

await check('graphql-ws: many operations share a socket', async () => {
  const client = open({ lazy: false });
  const answers = await Promise.all(Array.from({ length: 50 }, (_, n) => all(client, { query: `{ a${n}: ping }` })));
  equal(answers.map(([answer], n) => answer.data[`a${n}`]), Array(50).fill('pong'));
  await client.dispose();
});

await check('graphql-ws: a subscription gets its event, and ends when the client has it', async () => {
  const client = open();
  const { uploadId, confirm } = await upload();
  const events = client.iterate({ query: COMPLETED, variables: { id: uploadId } });
  const first = events.next();
  await confirm();
  equal((await first).value, done(uploadId));
  await events.return();
  await client.dispose();
});

await check('graphql-ws: an operation that does not fit is an error of that operation', async () => {
  const client = open();
  const error = await all(client, { query: '{ nothing }' }).then(() => null, (error) => error);
  equal(error[0].extensions.code, 'GRAPHQL_VALIDATION_FAILED');
  equal(await all(client, { query: '{ ping }' }), [{ data: { ping: 'pong' } }]);
  await client.dispose();
});

await check('graphql-ws: a bad token closes with 4403', async () => {
  const client = open({ connectionParams: { authorization: 'Bearer no' } });
  const closed = await all(client, { query: '{ ping }' }).then(() => null, (error) => error);
  equal(closed.code, 4403);
});

await check('graphql-ws: pings are answered', async () => {
  let pong;
  const answered = new Promise((resolve) => { pong = resolve; });
  const client = open({ lazy: false, keepAlive: 20, on: { pong: (received) => received && pong() } });
  await answered;
  await client.dispose();
});
