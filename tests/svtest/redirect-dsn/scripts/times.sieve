require "redirect-deliverby";
redirect :bytimerelative 1 :bytimeabsolute "2024-05-01T20:00:00Z" "a@example.com";
