/** The prefix under which Runegate answers itself. The application never sees a request below it. */
export const OWN_PREFIX = "/_runegate";
export const LOGIN_PATH = `${OWN_PREFIX}/login`;

/** A longer `next` would not be honored (`login/next.ts`), so it is not sent. */
const MAX_NEXT = 2000;

/**
 * The login page, and where to go from there: the landing path if `next` is empty.
 * @param again whether who is signed in has to do it once more.
 */
export function loginHref(next: string, again = false): string {
  const parameters = [
    ...(next === "" || next.length > MAX_NEXT ? [] : [`next=${encodeURIComponent(next)}`]),
    ...(again ? [`${AGAIN}=1`] : []),
  ];
  return parameters.length === 0 ? LOGIN_PATH : `${LOGIN_PATH}?${parameters.join("&")}`;
}

/** The query's word for that. */
export const AGAIN = "again";
