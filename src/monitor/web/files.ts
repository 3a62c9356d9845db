import { readdirSync, readFileSync } from 'node:fs';
import { extname } from 'node:path';

export interface PageFile {
  readonly type: string;
  readonly content: Buffer;
}

const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.svg': 'image/svg+xml',
};

/** The page, by path, as the build has put it together. Nothing else is ever read from the disk. */
export function pageFiles(folder = new URL('./page/', import.meta.url)): ReadonlyMap<string, PageFile> {
  const names = readdirSync(folder).filter((name) => extname(name) in TYPES);
  const files = names.map((name): [string, PageFile] => {
    const path = name === 'index.html' ? '/' : `/${name}`;
    return [path, { type: TYPES[extname(name)] ?? '', content: readFileSync(new URL(name, folder)) }];
  });
  return new Map(files);
}
