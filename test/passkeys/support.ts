import { cookieHeader } from "../support/gateway.ts";
import type {
  CreationOptions,
  CredentialJson,
  RequestOptions,
  SoftAuthenticator,
  Twist,
} from "./authenticator.ts";

/** What a page does with passkeys, over HTTP. */

/** Where a gateway listens, and where browsers find it. */
export type Site = { readonly url: string; readonly origin: string };

export type Offered<Options> = {
  readonly response: Response;
  readonly publicKey: Options;
  readonly ticket: string;
  /** What the browser sends from then on. */
  readonly cookie: string;
};

export function send(
  site: Site,
  path: string,
  body: unknown,
  cookie = "",
  more: Readonly<Record<string, string>> = {},
) {
  return fetch(`${site.url}/_runegate/passkeys${path}`, {
    method: "POST",
    redirect: "manual",
    headers: {
      "Content-Type": "application/json",
      Host: new URL(site.origin).host,
      Origin: site.origin,
      "Sec-Fetch-Site": "same-origin",
      "Sec-Fetch-Mode": "cors",
      ...(cookie === "" ? {} : { Cookie: cookie }),
      ...more,
    },
    body: typeof body === "string" ? body : JSON.stringify(body),
  });
}

async function offered<Options>(site: Site, path: string, cookie: string): Promise<Offered<Options>> {
  const response = await send(site, path, {}, cookie);
  if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`);
  const { publicKey, ticket } = (await response.json()) as { publicKey: Options; ticket: string };
  return { response, publicKey, ticket, cookie: [cookie, cookieHeader(response)].filter(Boolean).join("; ") };
}

export const offerRegistration = (site: Site, session: string) =>
  offered<CreationOptions>(site, "/options", session);
export const offerSignIn = (site: Site, cookie = "") =>
  offered<RequestOptions>(site, "/sign-in/options", cookie);

/** From the options to the answer of the server. */
export async function register(
  site: Site,
  session: string,
  authenticator: SoftAuthenticator,
  twist: Twist = {},
  name?: string,
): Promise<Response> {
  const { publicKey, ticket, cookie } = await offerRegistration(site, session);
  const credential: CredentialJson = authenticator.create(publicKey, site.origin, twist);
  return send(site, "", { ticket, credential, name }, cookie);
}

/** The same for signing in. */
export async function signInBy(
  site: Site,
  authenticator: SoftAuthenticator,
  twist: Twist = {},
  next?: string,
): Promise<Response> {
  const { publicKey, ticket, cookie } = await offerSignIn(site);
  return send(
    site,
    "/sign-in",
    { ticket, credential: authenticator.get(publicKey, site.origin, twist), next },
    cookie,
  );
}
