import { serveOperator } from "../../src/control/serve.ts";
import type { Identified } from "../../src/identity/principal.ts";
import { PLAIN } from "../../src/pages/look.ts";
import type { TestGateway } from "../support/gateway.ts";

/** The two ways to the management API: with a session through the front door, and as the operator. */

export type Asker = (
  method: string,
  path: string,
  init?: { readonly headers?: Readonly<Record<string, string>>; readonly body?: string },
) => Promise<{
  readonly status: number;
  readonly headers: Headers;
  readonly body: unknown;
  readonly text: string;
}>;

const PREFIX = "/_runegate/api";

/** @param cookie of a session; without it, a stranger asks. */
export function asUser({ url }: TestGateway, cookie?: string): Asker {
  return (method, path, { headers, body } = {}) =>
    read(
      fetch(url + PREFIX + path, {
        method,
        redirect: "manual",
        headers: { ...(cookie === undefined ? {} : { Cookie: cookie }), ...headers },
        ...(body === undefined ? {} : { body }),
      }),
    );
}

/** Without the socket, which `test/control` has. */
export function asOperator({ gateway }: TestGateway): Asker {
  const serve = serveOperator(gateway.answer);
  return (method, path, { headers, body } = {}) =>
    read(
      serve(
        new Request(`http://runegate${PREFIX}${path}`, {
          method,
          headers: {
            ...headers,
            ...(body === undefined ? {} : { "Content-Length": `${Buffer.byteLength(body)}` }),
          },
          ...(body === undefined ? {} : { body }),
        }),
      ),
    );
}

/** @param who the request is taken to come from, as if an authenticator had said so */
export function asProved({ gateway }: TestGateway, who: Identified): Asker {
  return (method, path, { headers = {} } = {}) => {
    const request = new Request(`http://runegate${PREFIX}${path}`, { method, headers });
    const [bare = "", search = ""] = path.split("?");
    return read(
      gateway.answer({
        id: "test",
        request,
        method,
        headers,
        target: { path: PREFIX + bare, search },
        client: {
          ...{ ip: "192.0.2.1", proto: "https", host: "app.example.org", forwardedFor: "192.0.2.1" },
          ...{ peerTrusted: false, ipIsCertain: true },
        },
        cookies: { valuesOf: () => [], ambiguous: false, rest: undefined },
        origin: "https://app.example.org",
        isOwn: () => false,
        identify: () => who,
        lookOf: () => PLAIN,
        startedAt: 0,
      }),
    );
  };
}

async function read(asked: Promise<Response>) {
  const response = await asked;
  const text = await response.text();
  const isJson = response.headers.get("content-type")?.startsWith("application/json") === true;
  const body: unknown = isJson && text !== "" ? JSON.parse(text) : undefined;
  return { status: response.status, headers: response.headers, body, text };
}

export const JSON_BODY = { "Content-Type": "application/json" };
