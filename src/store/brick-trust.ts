/** Whether the brick may lack what was written to it: until no segment is questionable any more. */
export class BrickTrust {
  isCold = false
  #inDoubt = 0
  readonly #regained: () => void

  constructor(regained: () => void) {
    this.#regained = regained
  }

  begin(isCold: boolean, inDoubt: number): void {
    this.isCold = isCold
    this.#inDoubt = inDoubt
    if (inDoubt === 0) this.#trusted()
  }

  doubtEnded(): void {
    this.#inDoubt--
    if (this.#inDoubt === 0) this.#trusted()
  }

  #trusted(): void {
    this.isCold = false
    this.#regained()
  }
}
