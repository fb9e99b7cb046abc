import { NAVIGATION } from "../login/support.ts";
import { type TestClock, testClock } from "../support/clock.ts";
import { startGateway, type TestGateway, type TestGatewaySettings } from "../support/gateway.ts";

export const ROOT = "root@example.org";
export const ADA = "ada@example.org";
export const ADMIN = "/_runegate/admin";

const ROUTES = `[groups]
admins = ["${ROOT}"]

[[routes]]
name = "lab"
target = "http://127.0.0.1:9"
`;

/** A gateway with an administrator. */
export type AdminStage = {
  readonly clock: TestClock;
  readonly gateway: TestGateway;
  get(cookie: string, path?: string, headers?: Record<string, string>): Promise<Response>;
  post(
    cookie: string,
    path: string,
    fields: Record<string, string>,
    headers?: Record<string, string>,
  ): Promise<Response>;
};

export async function startAdminStage(
  env: Record<string, string> = {},
  settings: TestGatewaySettings = {},
): Promise<AdminStage> {
  const clock = testClock();
  const gateway = await startGateway({
    ...{ clock, routes: ROUTES },
    ...settings,
    env: { RUNEGATE_LOG_FORMAT: "json", ...env },
  });
  const send = (cookie: string, path: string, init: RequestInit, headers: Record<string, string>) =>
    fetch(gateway.url + path, {
      ...init,
      redirect: "manual",
      headers: { ...NAVIGATION, ...headers, ...(cookie === "" ? {} : { Cookie: cookie }) },
    });
  return {
    ...{ clock, gateway },
    get: (cookie, path = ADMIN, headers = {}) => send(cookie, path, {}, headers),
    post: (cookie, path, fields, headers = { Origin: gateway.url }) =>
      send(cookie, path, { method: "POST", body: new URLSearchParams(fields) }, headers),
  };
}
