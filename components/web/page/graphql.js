// GraphQL, over HTTP for questions and over one WebSocket (graphql-transport-ws) for events. The
// socket comes back by itself, and with it every subscription; the platform then sends the last
// event again to those that name their upload.

import { SignInNeeded } from "./session.js";

// Waits between tries to connect again, in milliseconds; the last one repeats.
const BACK_OFF = [300, 1_000, 2_000, 5_000, 10_000];
// The platform has to accept the connection within this, in milliseconds.
const ACK = 10_000;
// Sent when nothing else was, so that a dead connection is noticed, in milliseconds.
const HEARTBEAT = 20_000;

/** An error of GraphQL: its message and extensions. */
export class Refused extends Error {
  constructor(errors) {
    super(errors[0]?.message ?? "The platform refused this.");
    this.name = "Refused";
    this.extensions = errors[0]?.extensions ?? {};
  }
}

export class GraphQL {
  #session;
  #socket = null;
  #open = false;
  #tries = 0;
  #next = 1;
  #wanted = new Map();
  #timer = null;
  #beat = null;
  /** Called with "on", "off" or "wait" when the live connection changes. */
  onlink = () => {};
  /** Called with the error when a person has to sign in. */
  onsignin = () => {};

  constructor(session) {
    this.#session = session;
    addEventListener("online", () => this.#retry(0));
    document.addEventListener("visibilitychange", () => !document.hidden && !this.#open && this.#retry(0));
  }

  /** Asks a question. A token that is not taken is renewed once. */
  async ask(query, variables = {}) {
    for (const last of [false, true]) {
      const token = await this.#session.token();
      const answer = await fetch("/graphql", {
        method: "POST",
        headers: {
          accept: "application/graphql-response+json, application/json",
          "content-type": "application/json",
          authorization: `Bearer ${token}`,
        },
        body: JSON.stringify({ query, variables }),
      });
      const text = await answer.text();
      const body = parse(text);
      const denied = answer.status === 401 || body?.errors?.[0]?.extensions?.code === "UNAUTHENTICATED";
      if (denied) {
        this.#session.refused();
        if (last) throw new SignInNeeded("The sign-in is not valid any more.");
        continue;
      }
      if (body?.errors?.length) throw new Refused(body.errors);
      if (!answer.ok || !body?.data) throw new Error(`The platform answered with ${answer.status}. Please try again.`);
      return body.data;
    }
  }

  /**
   * Subscribes. `on.next` gets the data of each event, `on.error` an error after which no more
   * come. Returns a function that ends it.
   */
  subscribe(query, variables, on) {
    const id = String(this.#next++);
    this.#wanted.set(id, { query, variables, on });
    if (this.#open) this.#start(id);
    else this.#connect();
    return () => {
      if (this.#wanted.delete(id) && this.#open) this.#send({ id, type: "complete" });
    };
  }

  /** Closes the connection and opens it again, as whoever is signed in now. */
  restart() {
    this.#drop();
    if (this.#wanted.size) this.#connect();
  }

  async #connect() {
    if (this.#socket || this.#timer) return;
    this.onlink("wait");
    let token;
    const socket = { send() {}, close() {} };
    this.#socket = socket; // holds the place while the token is fetched
    try {
      token = await this.#session.token();
    } catch (error) {
      if (this.#socket === socket) this.#socket = null;
      this.onlink("off");
      if (error instanceof SignInNeeded) return this.onsignin(error);
      return this.#retry();
    }
    if (this.#socket !== socket) return;
    const address = new URL("/graphql", location.href);
    address.protocol = address.protocol === "http:" ? "ws:" : "wss:";
    const real = new WebSocket(address, "graphql-transport-ws");
    this.#socket = real;
    const ack = setTimeout(() => real.close(4408, "no ack"), ACK);
    real.onopen = () => real.send(JSON.stringify({ type: "connection_init", payload: { Authorization: `Bearer ${token}` } }));
    real.onmessage = ({ data }) => this.#socket === real && this.#receive(parse(data), ack);
    real.onclose = ({ code }) => {
      clearTimeout(ack);
      if (this.#socket !== real) return;
      this.#drop();
      // 4401 and 4403: the token is not taken.
      if (code === 4401 || code === 4403) this.#session.refused();
      if (this.#wanted.size) this.#retry();
    };
  }

  #receive(message, ack) {
    const { id, type, payload } = message ?? {};
    const wanted = this.#wanted.get(id);
    switch (type) {
      case "connection_ack":
        clearTimeout(ack);
        this.#open = true;
        this.#tries = 0;
        this.onlink("on");
        this.#beat = setInterval(() => this.#send({ type: "ping" }), HEARTBEAT);
        for (const id of this.#wanted.keys()) this.#start(id);
        break;
      case "ping":
        this.#send({ type: "pong" });
        break;
      case "next":
        if (payload?.errors?.length) wanted?.on.error?.(new Refused(payload.errors));
        else if (payload?.data) wanted?.on.next(payload.data);
        break;
      case "error":
        this.#wanted.delete(id);
        wanted?.on.error?.(new Refused(payload ?? []));
        break;
      case "complete":
        this.#wanted.delete(id);
        break;
    }
  }

  #start(id) {
    const { query, variables } = this.#wanted.get(id);
    this.#send({ id, type: "subscribe", payload: { query, variables } });
  }

  #send(message) {
    if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify(message));
  }

  #drop() {
    const socket = this.#socket;
    this.#socket = null;
    this.#open = false;
    clearInterval(this.#beat);
    clearTimeout(this.#timer);
    this.#timer = null;
    socket?.close();
    this.onlink("off");
  }

  #retry(wait = BACK_OFF[Math.min(this.#tries++, BACK_OFF.length - 1)]) {
    if (this.#socket || !this.#wanted.size) return;
    clearTimeout(this.#timer);
    this.onlink("wait");
    // Somewhat at random, so that not everybody comes back at once.
    this.#timer = setTimeout(() => {
      this.#timer = null;
      this.#connect();
    }, wait * (0.75 + Math.random() / 2));
  }
}

function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
