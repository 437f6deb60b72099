// Apollo Client: HTTP for queries and mutations, a socket for subscriptions.
import WebSocket from 'ws';
import { createClient } from 'graphql-ws';
import { ApolloClient, ApolloLink, HttpLink, InMemoryCache } from '@apollo/client/core';
import { GraphQLWsLink } from '@apollo/client/link/subscriptions';
import { gql } from 'graphql-tag';
import { COMPLETED, authorization, check, equal, socket, upload, url } from './case.js';

const http = new HttpLink({ uri: url, headers: { authorization } });
const sockets = createClient({ url: socket, webSocketImpl: WebSocket, connectionParams: { authorization } });
const client = new ApolloClient({
  link: ApolloLink.split(
    ({ query }) => query.definitions.some((each) => each.operation === 'subscription'),
    new GraphQLWsLink(sockets), http),
  cache: new InMemoryCache(),
});

await check('Apollo Client: a query', async () => {
  const { data } = await client.query({ query: gql`{ ping }` });
  equal(data.ping, 'pong');
});

await check('Apollo Client: a query by GET', async () => {
  const get = new ApolloClient({ link: new HttpLink({ uri: url, useGETForQueries: true }), cache: new InMemoryCache() });
  equal((await get.query({ query: gql`query Q { ping }` })).data.ping, 'pong');
});

await check('Apollo Client: an error keeps its code', async () => {
  const error = await client.mutate({ mutation: gql`mutation { confirmUpload(uploadId: "no", bytes: 1, checksum: "x") { status } }` })
    .then(() => null, (error) => error);
  if (!error?.errors?.[0]?.extensions?.code) throw new Error(JSON.stringify(error));
});

await check('Apollo Client: a subscription gets its event', async () => {
  const { uploadId, confirm } = await upload();
  const event = new Promise((resolve, reject) => {
    const subscription = client.subscribe({ query: gql(COMPLETED), variables: { id: uploadId } })
      .subscribe({ next: ({ data }) => { subscription.unsubscribe(); resolve(data); }, error: reject });
  });
  await confirm();
  const { onAnalysisCompleted } = await event;
  equal([onAnalysisCompleted.uploadId, onAnalysisCompleted.success], [uploadId, true]);
});

await sockets.dispose();
client.stop();
