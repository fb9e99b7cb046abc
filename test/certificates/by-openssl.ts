import { needs } from "../support/needs.ts";

/** Undefined to skip. */
export const openssl = needs("openssl");

/** By `openssl`, which is needed here to be sure that it is not our own reading of our own writing. */
export function certificateBy(serial: string, keyId: string): string {
  const { stdout, stderr, exitCode } = Bun.spawnSync([
    ...["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"],
    ...["-keyout", "/dev/null", "-subj", "/CN=a.test", "-set_serial", serial],
    ...["-addext", `subjectKeyIdentifier=${keyId}`, "-addext", "authorityKeyIdentifier=keyid:always"],
  ]);
  if (exitCode !== 0) throw new Error(stderr.toString());
  return stdout.toString();
}
