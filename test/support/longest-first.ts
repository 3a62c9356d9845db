import { BaseSequencer, type TestSpecification } from 'vitest/node';

/** Their files are short, and start whole programs that take long. */
const LONG = ['test/bench/', 'test/monitor/', 'test/docs/example-', 'test/integrations/bullmq/', 'test/pubsub/', 'test/redis/cluster/'];

/** Begins with what takes long, so that no worker is left alone with it in the end. Where nothing is known yet Vitest goes by size. */
export class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(files);
    const isLong = ({ moduleId }: TestSpecification) => LONG.some((part) => moduleId.includes(`/${part}`));
    return [...sorted.filter(isLong), ...sorted.filter((file) => !isLong(file))];
  }
}
