/** One reviewer's answer for one heat map, stored whenever it changes. */
const reviewAnswers = (store, { name, isHidden }) => {
  const EMPTY = { verdict: null, region_needed: null, reasons: [], comment: "", boxes: [] };
  const FIELDS = Object.keys(EMPTY);
  const RETRY_MS = 2000;

  // An entry that an older version stored lacks the fields that were added since.
  const contents = (entry) => Object.fromEntries(FIELDS.map((field) => [field, entry?.[field] ?? EMPTY[field]]));
  const same = (one, other) => JSON.stringify(one) === JSON.stringify(other);
  const pause = () => new Promise((resolve) => setTimeout(resolve, RETRY_MS));
  const newId = () => Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");

  /** The answer on the page (`draft`), and the last stored one. */
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

    /** Load the stored answer; fields that were changed here and not stored yet are kept. */
    take(latest) {
      const before = contents(this.kept);
      const theirs = contents(latest);
      for (const field of FIELDS) if (same(this.draft[field], before[field])) this.draft[field] = theirs[field];
      this.kept = latest;
    }

    /** Reset for another reviewer. */
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

    /** Send the draft until it is stored, including changes in the meantime; an outdated page loads the newer entry. */
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
        // The server may have masked words of the comment; the page keeps the typed text.
        if (answer.entry) this.kept = { ...answer.entry, comment: sent.comment };
        else this.take(answer.latest);
        this.changed(this);
      }
    }

    /** Send one entry; after a connection error the same one again, so that it is stored once. */
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
