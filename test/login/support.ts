import type { MailboxMail } from "../../src/pages/pages.ts";
import { cookieHeader, type TestGateway } from "../support/gateway.ts";

/** What tests of the login do all the time, always through the front door. */

/** How Chromium says that somebody follows a link or sends a form. */
export const NAVIGATION = { "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document", Accept: "text/html" };

export type AskedFor = {
  readonly response: Response;
  /** The login cookie, as a `Cookie` header. */
  readonly cookie: string;
  readonly mail: MailboxMail;
  readonly token: string;
  /** As shown in the mail: 1234 5678. */
  readonly code: string;
};

export function postLogin(
  gateway: TestGateway,
  fields: Readonly<Record<string, unknown>>,
  headers: Readonly<Record<string, string>> = {},
): Promise<Response> {
  return fetch(`${gateway.url}/_runegate/login`, {
    method: "POST",
    redirect: "manual",
    headers: { "Content-Type": "application/json", ...headers },
    body: JSON.stringify(fields),
  });
}

/** Asks for a link and waits for its mail. */
export async function askFor(
  gateway: TestGateway,
  email = "ada@example.org",
  more: { readonly next?: string; readonly headers?: Readonly<Record<string, string>> } = {},
): Promise<AskedFor> {
  const before = new Set(gateway.mailbox.mails());
  const fields = more.next === undefined ? { email } : { email, next: more.next };
  const response = await postLogin(gateway, fields, more.headers);
  if (!response.ok && response.status !== 303)
    throw new Error(`asking for a link: ${response.status} ${await response.text()}`);
  await gateway.gateway.outbox.runDue();
  const mail = gateway.mailbox.mails().find((one) => one.to === email.trim() && !before.has(one));
  if (mail === undefined) throw new Error(`no mail for ${email}`);
  const token = new URL(mail.link ?? "").searchParams.get("token") ?? "";
  return { response, cookie: cookieHeader(response), mail, token, code: mail.code ?? "" };
}

export function openLink(
  gateway: TestGateway,
  token: string,
  headers: Readonly<Record<string, string>> = {},
  method = "GET",
): Promise<Response> {
  return fetch(`${gateway.url}/_runegate/auth?token=${encodeURIComponent(token)}`, {
    method,
    redirect: "manual",
    headers: { ...headers },
  });
}

export function redeem(
  gateway: TestGateway,
  fields: Readonly<Record<string, string>>,
  headers: Readonly<Record<string, string>> = {},
): Promise<Response> {
  return fetch(`${gateway.url}/_runegate/auth`, {
    method: "POST",
    redirect: "manual",
    headers: { "Content-Type": "application/json", ...headers },
    body: JSON.stringify(fields),
  });
}

/** Name and value of the session cookie a response set, as a `Cookie` header; undefined if it set none. */
export function sessionOf(response: Response, name = "runegate_id"): string | undefined {
  const line = response.headers.getSetCookie().find((one) => one.startsWith(`${name}=`));
  const pair = line?.split(";", 1)[0];
  return pair === undefined || pair === `${name}=` ? undefined : pair;
}

export type WhoAmI = {
  readonly authenticated: boolean;
  readonly email: string | null;
  readonly created_at: string | null;
  readonly expires_at: string | null;
  readonly idle_expires_at: string | null;
};

export async function whoAmI(gateway: TestGateway, cookie: string): Promise<WhoAmI> {
  const response = await fetch(`${gateway.url}/_runegate/session`, { headers: { Cookie: cookie } });
  if (response.status !== 200) throw new Error(`/session: ${response.status}`);
  return (await response.json()) as WhoAmI;
}

export type AuditLine = Readonly<Record<string, unknown>>;

/**
 * The audit so far, without time, level, module and message, and without the way of each mail, which is told a little later. Needs
 * `RUNEGATE_LOG_FORMAT=json`.
 */
export function auditOf(gateway: TestGateway): AuditLine[] {
  return wholeAuditOf(gateway).filter(({ event }) => event !== "mail_queued" && event !== "mail_sent");
}

export function wholeAuditOf(gateway: TestGateway): AuditLine[] {
  return gateway.lines
    .map((line) => JSON.parse(line) as Record<string, unknown>)
    .filter(({ module }) => module === "audit")
    .map(({ time: _, level: __, module: ___, message: ____, ...event }) => event);
}

/** Status, and what the JSON says, without the request's number. */
export async function said(response: Response): Promise<Record<string, unknown>> {
  const { request_id: _, ...body } = (await response.json()) as Record<string, unknown>;
  return { status: response.status, ...body };
}
