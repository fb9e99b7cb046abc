import { defineAudit } from "../observe/audit.ts";

export const CLIENT_SIGN_IN = defineAudit({
  event: "client_sign_in",
  help: "Somebody signed in to an application by OpenID Connect, with a session of theirs.",
  outcome: "ok",
  line: { email: "subject", client_id: "by", session: "session" },
});

export const CLIENT_REFUSED = defineAudit({
  event: "client_refused",
  help: "What an application asked for, or somebody on their way to it, was refused.",
  outcome: "refused",
  line: { client: "client", client_id: "by", reason: "reason", email: "subject" },
  isEndless: () => true,
});

export const CLIENT_TOKEN_REUSED = defineAudit({
  event: "client_token_reused",
  help: "A code or refresh token came a second time. All tokens that came of that sign-in are dead.",
  outcome: "refused",
  line: { email: "subject", client_id: "by", reason: "reason" },
  isEndless: () => true,
});

export const CLIENT_TOKENS_REVOKED = defineAudit({
  event: "client_tokens_revoked",
  help: "An application gave its tokens back, or an administrator ended them.",
  outcome: "ok",
  line: { email: "subject", client_id: "by", actor: "actor" },
});

export const CLIENT_CONSENT = defineAudit({
  event: "client_consent",
  help: "Somebody agreed to what an application may learn of them, or did not.",
  outcome: ({ reason }) => (reason === "agreed" ? "ok" : "refused"),
  line: { email: "subject", client_id: "by", outcome: "reason" },
});

export const CLIENT_DEVICE = defineAudit({
  event: "client_device",
  help: "Somebody let a program in that cannot sign in by itself, or did not.",
  outcome: ({ reason }) => (reason === "approved" ? "ok" : "refused"),
  line: { email: "subject", client_id: "by", outcome: "reason", client: "client" },
});

export const CLIENT_NOT_TOLD = defineAudit({
  event: "client_not_told",
  help: "An application could not be told that a session has ended, and is not tried any more.",
  outcome: "failed",
  line: { client_id: "by", n: "n", reason: "reason" },
});

export const CLIENT_KEYS_ROTATED = defineAudit({
  event: "client_keys_rotated",
  help: "New keys to sign tokens of OpenID clients with were made before their time.",
  outcome: "ok",
  line: { actor: "actor", reason: "reason" },
});
