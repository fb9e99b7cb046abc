import { type Cookies, type OwnCookie, setCookieLine } from "../edge/cookies.ts";

/** Tells a browser that was here before. It signs nobody in, and spares nobody the mail. */
export type DeviceCookie = OwnCookie & {
  /** Undefined if there is none, or if two with different values were sent. */
  read(arrival: { readonly cookies: Cookies }): string | undefined;
  /** The `Set-Cookie` line, for this host only. @param brief for as long as the browser is open */
  line(value: string, brief: boolean): string;
};

export const DEVICE_BYTES = 16;
export const DEVICE_MS = 180 * 24 * 60 * 60_000;

/** @param secure gives it the `__Host-` prefix, so that no neighboring host can plant the one of a browser it knows. */
export function createDeviceCookie(secure: boolean): DeviceCookie {
  const name = secure ? "__Host-runegate_device" : "runegate_device";
  return {
    name,
    accepts: (value) => /^[A-Za-z0-9_-]{22}$/.test(value),
    read({ cookies }) {
      const [value, ...others] = cookies.valuesOf(name);
      return others.length === 0 ? value : undefined;
    },
    line: (value, brief) =>
      setCookieLine(name, value, { maxAgeSeconds: brief ? undefined : DEVICE_MS / 1000, secure }),
  };
}
