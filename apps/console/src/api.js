// The HTTP API of the same origin, and where the token comes from.

const KEPT = "slipway.token";

export class ApiError extends Error {
  constructor(status, problem) {
    super(problem?.detail || problem?.title || `the server answered ${status}`);
    this.status = status;
    this.code = problem?.code;
  }
}

/** Signs in: on a local stack as the demo user, elsewhere with a token that a person pastes. */
export class Session {
  constructor() {
    this.demo = null; // null: not asked yet
    this.bearer = sessionStorage.getItem(KEPT);
  }

  async token(fresh = false) {
    if (this.demo === null) this.demo = await isDemo();
    if (this.demo && (fresh || !this.bearer)) {
      const answer = await fetch("/.slipway/token?user=demo");
      if (!answer.ok) throw new ApiError(answer.status, null);
      this.bearer = (await answer.json()).token;
    } else if (fresh) {
      this.forget(); // a pasted one that was refused
    }
    return this.bearer;
  }

  keep(token) {
    this.bearer = token;
    sessionStorage.setItem(KEPT, token);
  }

  forget() {
    this.bearer = null;
    sessionStorage.removeItem(KEPT);
  }

  async request(method, path, body) {
    for (const fresh of [false, true]) {
      const answer = await fetch(`/v1${path}`, {
        method,
        headers: { authorization: `Bearer ${await this.token(fresh)}`, ...(body && { "content-type": "application/json" }) },
        body: body && JSON.stringify(body),
      });
      if (answer.status === 401 && this.demo && !fresh) continue;
      const text = await answer.text();
      const value = text && answer.headers.get("content-type")?.includes("json") ? JSON.parse(text) : null;
      if (!answer.ok) throw new ApiError(answer.status, value);
      return value;
    }
    throw new ApiError(401, null);
  }

  async filters() {
    const answer = await this.request("GET", "/filters");
    return Array.isArray(answer) ? answer : (answer.filters ?? []);
  }
}

async function isDemo() {
  // elsewhere than on the lab's front there is no such file; the page then asks for a token
  const answer = await fetch("/.slipway/config.json");
  if (!answer.ok || !answer.headers.get("content-type")?.includes("json")) return false;
  return (await answer.json()).demo === true;
}
