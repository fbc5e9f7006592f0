/** Why a value is what it is: the rule behind it, the number with its arithmetic, and where the number comes from. */
export interface Explanation {
  readonly title: string;
  readonly rule: string;
  readonly number: string;
  readonly source: string;
}
