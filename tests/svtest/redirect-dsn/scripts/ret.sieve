require "redirect-dsn";
redirect :ret "SOME" "a@example.com";
