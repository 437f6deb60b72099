// A plain service in the manner of the web's fetch event, as StarlingMonkey runs it.
addEventListener("fetch", (event) => event.respondWith(answer(event.request)));

async function answer(request) {
  const headers = { "content-type": "text/plain" };
  if (request.method === "POST") {
    return new Response(await request.arrayBuffer(), { headers });
  }
  return new Response("hello from javascript", { headers });
}
