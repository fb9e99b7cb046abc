/** The prefix under which Runegate answers itself. The application never sees a request below it. */
export const OWN_PREFIX = "/_runegate";
export const LOGIN_PATH = `${OWN_PREFIX}/login`;

/** A longer `next` would not be honored (`login/next.ts`), so it is not sent. */
const MAX_NEXT = 2000;

/** The login page, and where to go from there: the landing path if `next` is empty. */
export function loginHref(next: string): string {
  return next === "" || next.length > MAX_NEXT
    ? LOGIN_PATH
    : `${LOGIN_PATH}?next=${encodeURIComponent(next)}`;
}
