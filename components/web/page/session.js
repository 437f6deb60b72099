// Who is signed in. In development the platform has a login of its own that takes any name; a
// made-up one is kept so that a person finds their photos again. Elsewhere a token is pasted; it
// is kept for this tab alone.

const NAME = "monopod.name";
const TOKEN = "monopod.token";
// A token is renewed this long before it ends, in milliseconds.
const MARGIN = 60_000;

export class SignInNeeded extends Error {
  constructor(message = "Please sign in.") {
    super(message);
    this.name = "SignInNeeded";
  }
}

export class Session {
  #token = null;
  #ends = 0;
  #asking = null;
  #rejected = false;
  /** Whether the platform's development login answered. Null until it was asked. */
  development = null;

  /** The person's name; only the development login needs one. */
  get name() {
    let name = read(localStorage, NAME);
    if (!name) {
      const bytes = crypto.getRandomValues(new Uint8Array(3));
      name = `visitor-${[...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("")}`;
      write(localStorage, NAME, name);
    }
    return name;
  }

  /** Becomes somebody else. */
  rename(name) {
    write(localStorage, NAME, name);
    this.forget();
  }

  /** Takes a token that a person pasted. */
  use(token) {
    write(sessionStorage, TOKEN, token.trim().replace(/^Bearer\s+/i, ""));
    this.#rejected = false;
    this.forget();
  }

  /** The next token is a new one. */
  forget() {
    this.#token = null;
    this.#ends = 0;
  }

  /** A token that is good for a while. Throws `SignInNeeded` if a person has to give one. */
  async token() {
    if (this.#token && Date.now() < this.#ends - MARGIN) return this.#token;
    // Several callers at once share one request.
    this.#asking ??= this.#ask().finally(() => (this.#asking = null));
    return this.#asking;
  }

  async #ask() {
    if (this.development !== false) {
      const answer = await fetch("/identity/token", {
        method: "POST",
        headers: { accept: "application/json", "content-type": "application/x-www-form-urlencoded" },
        body: new URLSearchParams({ grant_type: "client_credentials", client_id: this.name, scope: "analysis" }),
      });
      if (answer.ok) {
        const { access_token: token, expires_in: seconds } = await answer.json();
        this.development = true;
        this.#token = token;
        this.#ends = Date.now() + (seconds ?? 3_600) * 1_000;
        return token;
      }
      if (answer.status >= 500 || answer.status === 429) throw new Error("The sign-in does not answer. Please try again.");
      if (this.development) throw new Error("The sign-in refused this name.");
      this.development = false;
    }
    const token = read(sessionStorage, TOKEN);
    if (!token) throw new SignInNeeded(this.#rejected ? "The platform did not accept the token. Please sign in again." : undefined);
    this.#token = token;
    // How long it lasts only the platform knows; when it says no, `refused` is called.
    this.#ends = Infinity;
    return token;
  }

  /** The platform did not take the token. */
  refused() {
    this.forget();
    if (this.development === false) {
      this.#rejected = true;
      write(sessionStorage, TOKEN, "");
    }
  }
}

// Storage can be switched off; the page works without it, for as long as it is open.
const memory = new Map();

function read(storage, key) {
  try {
    return storage.getItem(key) ?? memory.get(key) ?? null;
  } catch {
    return memory.get(key) ?? null;
  }
}

function write(storage, key, value) {
  memory.set(key, value);
  try {
    storage.setItem(key, value);
  } catch {
    // Kept in memory.
  }
}
