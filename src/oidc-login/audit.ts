import { defineAudit } from "../observe/audit.ts";

/** Whoever came back from a provider, or should have been sent there, did not get in. */
export const OIDC_REFUSED = defineAudit({
  event: "oidc_refused",
  help: "Whoever came back from an OpenID provider, or should have been sent there, did not get in.",
  outcome: "refused",
  line: { client: "client", provider: "by", reason: "reason", email: "subject" },
  // With an address, a provider has vouched for somebody.
  isEndless: ({ subject }) => subject === undefined,
  foldedBy: ["reason", "by", "subject"],
});

/** A provider, or somebody who plays one, wanted sign-ins to end. */
export const OIDC_LOGOUT_REFUSED = defineAudit({
  event: "oidc_logout_refused",
  help: "What wanted sign-ins to end in the name of a provider was not right.",
  outcome: "refused",
  line: { client: "client", provider: "by", reason: "reason" },
  isEndless: () => true,
  foldedBy: ["reason", "by"],
});
