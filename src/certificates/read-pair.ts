import { createPrivateKey, X509Certificate } from "node:crypto";
import type { Pair } from "./pair.ts";

/** @throws {Error} with what is wrong, in words that name no secret */
export function pairOf(cert: string, key: string): Pair {
  const certificate = read(() => new X509Certificate(cert), "the certificate cannot be read: it is no PEM");
  const secret = read(
    () => createPrivateKey(key),
    "the key cannot be read: it is no PEM, or has a passphrase",
  );
  if (!certificate.checkPrivateKey(secret)) throw new Error("the key is not that of the certificate");
  const names = (certificate.subjectAltName ?? "").split(/, ?/).flatMap((one) => {
    const [, name] = /^(?:DNS|IP Address):"?([^"]+)"?$/.exec(one) ?? [];
    return name === undefined ? [] : [name.toLowerCase()];
  });
  if (names.length === 0) throw new Error("the certificate is for no name (subjectAltName)");
  return {
    ...{ names, cert, key },
    from: Date.parse(certificate.validFrom),
    until: Date.parse(certificate.validTo),
  };
}

function read<T>(work: () => T, problem: string): T {
  try {
    return work();
  } catch {
    throw new Error(problem);
  }
}
