require ["fileinto", "fcc"];
fileinto :fcc "Sent" "Box";
