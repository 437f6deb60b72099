// The audits of `graphql-http`: GraphQL over HTTP.
import { serverAudits } from 'graphql-http';
import { say, url } from './case.js';

for (const audit of serverAudits({ url, fetchFn: fetch })) {
  const result = await audit.fn();
  say(`${audit.id} ${audit.name}`, result.status === 'ok', `${result.status}: ${result.reason ?? ''}`);
}
