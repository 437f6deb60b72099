// One line of JSON for each case; the Rust side counts them and shows what failed.
import { readFileSync } from 'node:fs';

export const url = `${process.env.HOST_URL}/graphql`;
export const socket = url.replace(/^http/, 'ws');
export const token = process.env.HOST_TOKEN;
export const authorization = `Bearer ${token}`;

export function say(name, ok, why = '') {
  console.log(JSON.stringify({ name, ok, why: String(why) }));
}

export async function check(name, run) {
  // Far beyond anything a loaded machine needs: only what never comes runs into it.
  let timer;
  const late = new Promise((_, fail) => { timer = setTimeout(() => fail(new Error('nothing came within 60 s')), 60_000); });
  try {
    await Promise.race([run(), late]);
    say(name, true);
  } catch (error) {
    say(name, false, error?.stack ?? JSON.stringify(error));
  } finally {
    clearTimeout(timer);
  }
}

export function equal(found, wanted) {
  const [a, b] = [JSON.stringify(found), JSON.stringify(wanted)];
  if (a !== b) throw new Error(`found ${a}, wanted ${b}`);
}

async function ask(query, variables) {
  const answer = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization },
    body: JSON.stringify({ query, variables }),
  });
  const { data, errors } = await answer.json();
  if (errors) throw new Error(JSON.stringify(errors));
  return data;
}

// An upload that is begun; confirm() starts its analysis.
export async function upload() {
  const photo = readFileSync(process.env.PHOTO);
  const { startUpload } = await ask(
    'mutation { startUpload(filename: "a.jpg", contentType: "image/jpeg") { imageUploadPayload { uploadId putUrl } } }');
  const { uploadId, putUrl } = startUpload.imageUploadPayload;
  const put = await fetch(putUrl, { method: 'PUT', headers: { 'content-type': 'image/jpeg' }, body: photo });
  if (!put.ok) throw new Error(`PUT: ${put.status}`);
  return {
    uploadId,
    confirm: () => ask(
      'mutation($id: String!, $bytes: Int!, $sum: String!) { confirmUpload(uploadId: $id, bytes: $bytes, checksum: $sum) { status } }',
      { id: uploadId, bytes: photo.length, sum: process.env.PHOTO_SUM }),
  };
}

export const COMPLETED =
  'subscription Done($id: String!) { onAnalysisCompleted(uploadId: $id) { success uploadId } }';

export function done(uploadId) {
  return { data: { onAnalysisCompleted: { success: true, uploadId } } };
}
