/** What one reviewer says of one heat, kept by a store as it changes. */
const reviewAnswers = (store, { name, isHidden }) => {
  const FIELDS = ["verdict", "reasons", "comment", "boxes"];
  const EMPTY = { verdict: null, reasons: [], comment: "", boxes: [] };
  const RETRY_MS = 2000;

  const contents = (entry) => Object.fromEntries(FIELDS.map((field) => [field, (entry ?? EMPTY)[field]]));
  const same = (one, other) => JSON.stringify(one) === JSON.stringify(other);
  const pause = () => new Promise((resolve) => setTimeout(resolve, RETRY_MS));
  const newId = () => Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");

  /** As it stands on the page (`draft`), and as it was kept last. */
  class Answer {
    constructor(subject, changed) {
      this.subject = subject;
      this.changed = changed;
      this.kept = null;
      this.draft = contents(null);
      this.others = [];
      this.trouble = ""; // why the draft is not kept
      this.unkept = false;
      this.saving = null;
    }

    get isKept() {
      return same(this.draft, contents(this.kept));
    }

    /** Take what the store holds; fields that were changed here and not kept yet stay as they are here. */
    take(latest) {
      const before = contents(this.kept);
      const theirs = contents(latest);
      for (const field of FIELDS) if (same(this.draft[field], before[field])) this.draft[field] = theirs[field];
      this.kept = latest;
    }

    /** Begin anew, for another reviewer. */
    forget() {
      this.kept = null;
      this.draft = contents(null);
    }

    change(fields) {
      Object.assign(this.draft, fields);
      this.changed(this);
    }

    save() {
      this.saving ??= this.keepOn().finally(() => {
        this.saving = null;
        this.changed(this);
      });
      this.changed(this);
      return this.saving;
    }

    entry() {
      return {
        id: newId(),
        subject: this.subject,
        reviewer: store.reviewer(),
        moment: new Date().toISOString(),
        ...structuredClone(this.draft),
        // Said of the verdict: reasons, comment and boxes may be added once the scores are seen.
        scores_hidden: isHidden(this) || Boolean(this.kept?.scores_hidden && this.kept.verdict === this.draft.verdict),
        replaces: this.kept?.id ?? null,
      };
    }

    /** Send the draft until it is kept, changes that come meanwhile too; a page that was behind takes the newer in. */
    async keepOn() {
      if (!this.isKept && !store.isNamed() && !(await name())) {
        this.trouble = t("script.review_answer.nameless");
        return;
      }
      while (!this.isKept) {
        const sent = this.entry();
        const answer = await this.sendOne(sent);
        if (answer === null) return;
        this.unkept = Boolean(answer.unkept);
        // The server may have masked words of the comment; who typed them goes on with what was typed.
        if (answer.entry) this.kept = { ...answer.entry, comment: sent.comment };
        else this.take(answer.latest);
        this.changed(this);
      }
    }

    /** Send one entry; when the way is broken the same one again, so that it is kept once. */
    async sendOne(entry) {
      for (;;) {
        try {
          const answer = await store.append(entry);
          this.trouble = "";
          return answer;
        } catch (error) {
          const isFinal = error instanceof store.Refused;
          const why = error.message;
          const isHindered = error instanceof store.Hindered;
          const passing = isHindered ? t("script.review_answer.hindered", { why }) : t("script.review_answer.unreached");
          this.trouble = isFinal ? t("script.review_answer.refused", { why }) : passing;
          this.changed(this);
          if (isFinal) return null;
          await pause();
        }
      }
    }
  }

  return { Answer, same, pause };
};
