require "copy";
redirect :copy "postmaster@example.net";
