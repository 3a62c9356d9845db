/** What is thrown for failures that count the same: a single one as it is, several as one. */
export function asOne(errors: readonly unknown[], where: string): unknown {
  return errors.length === 1 ? errors[0] : new AggregateError(errors, `${where}: ${errors.length} failures`);
}
