import { Refusal, SIGN_IN } from "../edge/answer.ts";
import { said } from "../pages/language.ts";

/** Somebody who has proved who they are is not signed in, because a hook says so (`hooks/`). What they came with stays good. */
export class SignInDenied extends Refusal {
  /** @param message the hook's own words for them, as plain text. */
  constructor(message: string | undefined) {
    super({
      status: 403,
      error: "denied",
      title: said("denied.title"),
      message: message ?? said("denied.message"),
      action: SIGN_IN,
    });
  }
}
