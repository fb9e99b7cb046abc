/** The prefix under which Runegate answers itself. The application never sees a request below it. */
export const OWN_PREFIX = "/_runegate";
export const LOGIN_PATH = `${OWN_PREFIX}/login`;
export const LOGOUT_PATH = `${OWN_PREFIX}/logout`;
/** A login under way: its state, and the field for its code. */
export const CODE_PATH = `${OWN_PREFIX}/code`;
/** A form that was sent after its session ended. */
export const KEPT_PATH = `${OWN_PREFIX}/kept`;
/** Whether it is kept, and if not, why. */
export type Kept = "yes" | "large" | "full";
/** The query's word for that. */
export const KEPT = "kept";
/** The applications that somebody may use. */
export const START_PATH = `${OWN_PREFIX}/`;
/** Who one is, and what there is of one: sessions, and what rooms add. */
export const ACCOUNT_PATH = `${OWN_PREFIX}/account`;

/** Where a form sends the language that somebody chose. */
export const LANGUAGE_PATH = `${OWN_PREFIX}/language`;
/** Where a screen asks to be signed in by a phone, and where the phone approves that. */
export const PHONE_PATH = `${OWN_PREFIX}/phone`;
export const APPROVE_PATH = `${OWN_PREFIX}/approve`;

/** Where applications sign people in by OpenID Connect (`provider/`), and, by name, the providers of others (`oidc-login/`). */
export const OIDC_PREFIX = `${OWN_PREFIX}/oidc`;
export const AUTHORIZE_PATH = `${OIDC_PREFIX}/authorize`;
export const DEVICE_PATH = `${OIDC_PREFIX}/device`;

/** The API keys of whoever is signed in. */
/** Where Prometheus asks, at an address of its own. */
export const METRICS_PATH = `${OWN_PREFIX}/metrics`;
export const KEYS_PATH = `${OWN_PREFIX}/keys`;

/** Where somebody asks for an application that they may not use, and where those are who decide about it. */
export const ASK_PATH = `${OWN_PREFIX}/access`;
export const REQUESTS_PATH = `${OWN_PREFIX}/requests`;

/** @param route the name of the application */
export function askHref(route: string): string {
  return `${ASK_PATH}?route=${encodeURIComponent(route)}`;
}
/** As whom an administrator acts on a host. */
export const ACTING_PATH = `${OWN_PREFIX}/as`;

/** The pages for administrators: the first of them, below which are the others. */
export const ADMIN_PATH = `${OWN_PREFIX}/admin`;

/** @param screen of which name: the first of them has none. */
export function adminPath(screen: string): string {
  return screen === "" ? ADMIN_PATH : `${ADMIN_PATH}/${screen}`;
}

const PERSONAL_PATHS: ReadonlySet<string> = new Set([
  ACCOUNT_PATH,
  APPROVE_PATH,
  AUTHORIZE_PATH,
  DEVICE_PATH,
  KEYS_PATH,
  ASK_PATH,
  REQUESTS_PATH,
  ADMIN_PATH,
]);
const ADMIN_SCREEN = new RegExp(`^${ADMIN_PATH}/[a-z-]+$`);

/** Whether it is a page of ours for whoever is signed in, to which a login may lead back. */
export function isPersonal(path: string): boolean {
  return PERSONAL_PATHS.has(path) || ADMIN_SCREEN.test(path);
}

const MAX_NEXT = 2000;

/** A longer one would not be honored (`login/next.ts`), so it is not sent. */
export function nextToSend(next: string): string {
  return next.length > MAX_NEXT ? "" : next;
}

/**
 * The login page, and where to go from there: the landing path if `next` is empty.
 * @param again for whoever is signed in, and has been for too long.
 * @param kept for whoever was about to send something.
 */
export function loginHref(next: string, again = false, kept?: Kept): string {
  const sent = nextToSend(next);
  const query = [
    sent === "" ? [] : `next=${encodeURIComponent(sent)}`,
    again ? `${AGAIN}=1` : [],
    kept ? `${KEPT}=${kept}` : [],
  ].flat();
  return query.length === 0 ? LOGIN_PATH : `${LOGIN_PATH}?${query.join("&")}`;
}

/** The query's word for that. */
export const AGAIN = "again";

export function keptIn(query: URLSearchParams): Kept | undefined {
  const kept = query.get(KEPT);
  return kept === "yes" || kept === "large" || kept === "full" ? kept : undefined;
}
