// Last step of the build: puts beside the compiled page of the monitor what is not compiled. `node dev/copy-page.mjs <dist>`
// uPlot comes along as a copy, so that who installs the package needs nothing further for the page.
import { copyFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

const root = join(import.meta.dirname, '..');
const [dist = 'dist'] = process.argv.slice(2);
const page = join(dist, 'monitor/web/page');
const source = join(root, 'src/monitor/web/page');
const uplot = join(root, 'node_modules/uplot');

for (const name of readdirSync(source).filter((file) => !file.endsWith('.ts'))) copyFileSync(join(source, name), join(page, name));
for (const name of ['uPlot.iife.min.js', 'uPlot.min.css']) copyFileSync(join(uplot, 'dist', name), join(page, name));
copyFileSync(join(uplot, 'LICENSE'), join(page, 'uPlot.LICENSE.txt'));
