// Executes with graphql-js what stands in each line of the input: a schema, the values of its
// fields and operations. Answers one line: for each operation its data as JSON, and its errors.
import { createInterface } from 'node:readline';
import { buildSchema, graphqlSync, isObjectType, valueFromASTUntyped } from 'graphql';

const check = (test) => (value) => {
  if (!test(value)) throw new TypeError('not of the type');
  return value;
};
const text = (pattern) => check((value) => typeof value === 'string' && pattern.test(value));
const SCALARS = {
  DateTime: text(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/),
  JSON: (value) => value,
  Long: check(Number.isSafeInteger),
  URL: text(/^https?:\/\/./),
  UUID: text(/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/),
};

// What is found for a field: a value, or an error in its place.
function found(value) {
  if (value !== null && typeof value === 'object' && '$error' in value) throw new Error(value.$error);
  return value;
}

function build({ sdl, values, code }) {
  const schema = buildSchema(sdl);
  for (const [name, coerce] of Object.entries(SCALARS)) {
    const type = schema.getType(name);
    if (!type) continue;
    type.serialize = type.parseValue = coerce;
    type.parseLiteral = (node, variables) => coerce(valueFromASTUntyped(node, variables));
  }
  for (const type of Object.values(schema.getTypeMap())) {
    if (!isObjectType(type) || type.name.startsWith('__')) continue;
    const root = type === schema.getQueryType() || type === schema.getMutationType();
    for (const field of Object.values(type.getFields())) {
      if (root) field.resolve = (_, args) => (field.name.startsWith('echo') ? args : found(values[field.name]));
      else if (field.name === 'code') field.resolve = ({ id }) => found(code[id]);
    }
  }
  return schema;
}

for await (const line of createInterface({ input: process.stdin })) {
  const work = JSON.parse(line);
  const schema = build(work);
  const answers = work.operations.map(({ query, variables }) => {
    const { data, errors } = graphqlSync({ schema, source: query, variableValues: variables });
    return {
      data: data === undefined ? null : JSON.stringify(data),
      errors: (errors ?? []).map(({ message, locations, path }) => ({ message, place: locations?.[0], path })),
    };
  });
  console.log(JSON.stringify(answers));
}
