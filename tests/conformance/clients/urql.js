// urql: HTTP for queries and mutations, server-sent events for subscriptions.
import { Client, fetchExchange, gql } from '@urql/core';
import { COMPLETED, authorization, check, equal, upload, url } from './case.js';

const client = new Client({
  url,
  exchanges: [fetchExchange],
  fetchSubscriptions: true,
  preferGetMethod: false,
  fetchOptions: { headers: { authorization } },
});

await check('urql: a query', async () => {
  equal((await client.query(gql`{ ping }`, {}).toPromise()).data, { ping: 'pong' });
});

await check('urql: an error keeps its code', async () => {
  const { error } = await client.mutation(
    gql`mutation { confirmUpload(uploadId: "no", bytes: 1, checksum: "x") { status } }`, {}).toPromise();
  if (!error?.graphQLErrors?.[0]?.extensions?.code) throw new Error(String(error));
});

await check('urql: a subscription gets its event over server-sent events', async () => {
  const { uploadId, confirm } = await upload();
  const event = new Promise((resolve, reject) => {
    const { unsubscribe } = client.subscription(gql(COMPLETED), { id: uploadId }).subscribe(({ data, error }) => {
      if (error) reject(error);
      if (data) { queueMicrotask(() => unsubscribe()); resolve(data); }
    });
  });
  await confirm();
  const { onAnalysisCompleted } = await event;
  equal([onAnalysisCompleted.uploadId, onAnalysisCompleted.success], [uploadId, true]);
});
