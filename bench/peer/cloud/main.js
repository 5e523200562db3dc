// The cloud code of the benchmark, for Parse Server and for Parley.
Parse.Cloud.define('empty', () => 'ok');

Parse.Cloud.beforeSave('Checked', request => {
  request.object.set('category', request.object.get('title').toUpperCase());
});
