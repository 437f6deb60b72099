// The reference client of GraphQL over server-sent events, distinct connections mode.
import { createClient } from 'graphql-sse';
import { COMPLETED, authorization, check, done, equal, upload, url } from './case.js';

const client = createClient({ url, headers: { authorization }, retryAttempts: 0 });

async function all(payload) {
  const results = [];
  for await (const result of client.iterate(payload)) results.push(result);
  return results;
}

await check('graphql-sse: a query is one result and its end', async () => {
  equal(await all({ query: '{ ping }' }), [{ data: { ping: 'pong' } }]);
});

await check('graphql-sse: a subscription gets its event', async () => {
  const { uploadId, confirm } = await upload();
  const events = client.iterate({ query: COMPLETED, variables: { id: uploadId } });
  const first = events.next();
  await confirm();
  equal((await first).value, done(uploadId));
  await events.return();
});

await check('graphql-sse: an operation that does not fit is refused', async () => {
  const results = await all({ query: '{ nothing }' }).catch((error) => error);
  const text = JSON.stringify(results) + String(results);
  if (!/GRAPHQL_VALIDATION_FAILED|400/.test(text)) throw new Error(text);
});

client.dispose();
